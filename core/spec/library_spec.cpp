#include "core/spec/library_spec.hpp"

#include <algorithm>

#include "core/base/error.hpp"

namespace lockstep {

Time ProtocolCosts::at(PathClass path) const {
  switch (path) {
    case PathClass::Nvlink: return nvlink;
    case PathClass::Pcie: return pcie;
    case PathClass::Network: return network;
    case PathClass::Local: break;
  }
  return Time::zero();
}

const ArchitectureTuning& TuningSpec::of(int capability) const {
  LOCKSTEP_EXPECTS(!architectures.empty());
  const ArchitectureTuning* best = &architectures.front();
  for (const ArchitectureTuning& a : architectures) {
    if (a.capability <= capability) best = &a;
  }
  return *best;
}

ProtocolKind ProtocolSpec::kind() const {
  if (name == "simple") return ProtocolKind::Simple;
  if (name == "ll") return ProtocolKind::Ll;
  if (name == "ll128") return ProtocolKind::Ll128;
  return ProtocolKind::Other;
}

LibrarySpec limited_to(LibrarySpec library, int capability, int nodes) {
  for (ProtocolSpec& p : library.protocols) {
    if (p.tree_holds_chunk) {
      const Time base = p.tree.base;
      p.tree = p.ring;
      p.tree.base = base;
    }
    if (!library.limits || library.tuning.architectures.empty()) continue;
    const ArchitectureTuning& limits = library.tuning.of(capability);
    const Bandwidth payload = p.kind() == ProtocolKind::Ll ? std::min(limits.bus, limits.ll.at(nodes)) : limits.bus;
    // The files speak of payload, the links of what is sent.
    if (payload < Bandwidth::unlimited()) p.total_cap = payload * (1 / p.efficiency);
    const auto cap = [&](Bandwidth& channel, Bandwidth payload_rate) {
      if (payload_rate < Bandwidth::unlimited()) channel = std::min(channel, payload_rate * (1 / p.efficiency));
    };
    if (p.kind() == ProtocolKind::Ll && library.tuning.rule == TuningRule::Estimates)
      cap(p.ring_cap, limits.nvlink * library.tuning.ring_ll);
    if (p.kind() == ProtocolKind::Ll128) cap(p.ring_cap, limits.ll128_ring.at(nodes));
    if (nodes == 1) continue;  // a chain with several cables between two GPUs is several channels of the library there
    if (p.kind() == ProtocolKind::Ll128) cap(p.tree_cap, limits.ll128_tree.at(nodes));
    if (p.kind() == ProtocolKind::Simple) cap(p.tree_cap, limits.tree.at(nodes));
  }
  return library;
}

}  // namespace lockstep
