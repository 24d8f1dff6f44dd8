// What makes a library file implausible although it is well formed.
#include <fmt/format.h>

#include <algorithm>
#include <cctype>

#include "core/base/units_text.hpp"
#include "experiments/check/rule.hpp"

namespace lockstep::check {

namespace {

using Doubts = std::vector<Doubt>;

std::string at(std::size_t protocol, const char* key) { return fmt::format("protocols[{}].{}", protocol, key); }

Doubts message_cost(const LibrarySpec& library) {
  Doubts out;
  constexpr double kMost = 1e-3;  // seconds; TCP on 10 GbE takes 21 us
  if (library.tcp_latency.value.seconds() > kMost)
    out.push_back(
        {"tcp_latency", fmt::format("{} per message; TCP on 10 GbE takes 21 us", to_text(library.tcp_latency.value))});
  for (std::size_t i = 0; i < library.protocols.size(); ++i) {
    const ProtocolSpec& p = library.protocols[i];
    for (const auto& [key, time] : {std::pair("ring_nvlink", p.ring.nvlink), std::pair("ring_pcie", p.ring.pcie),
                                    std::pair("ring_network", p.ring.network), std::pair("tree_nvlink", p.tree.nvlink),
                                    std::pair("tree_pcie", p.tree.pcie), std::pair("tree_network", p.tree.network)}) {
      if (time.seconds() > kMost)
        out.push_back({at(i, key), fmt::format("{} per message; TCP on 10 GbE takes 21 us", to_text(time))});
    }
  }
  return out;
}

Doubts path_order(const LibrarySpec& library) {
  Doubts out;
  for (std::size_t i = 0; i < library.protocols.size(); ++i) {
    const ProtocolSpec& p = library.protocols[i];
    if (p.ring.network < p.ring.nvlink)
      out.push_back({at(i, "ring_network"), fmt::format("{} between nodes is less than {} over NVLink",
                                                        to_text(p.ring.network), to_text(p.ring.nvlink))});
    if (p.tree.network < p.tree.nvlink)
      out.push_back({at(i, "tree_network"), fmt::format("{} between nodes is less than {} over NVLink",
                                                        to_text(p.tree.network), to_text(p.tree.nvlink))});
  }
  return out;
}

Doubts flags(const LibrarySpec& library) {
  Doubts out;
  for (std::size_t i = 0; i < library.protocols.size(); ++i) {
    const ProtocolSpec& p = library.protocols[i];
    const double most = p.kind() == ProtocolKind::Ll ? 0.5 : p.kind() == ProtocolKind::Ll128 ? 120.0 / 128 : 1;
    if (p.efficiency > most)
      out.push_back({at(i, "efficiency"),
                     fmt::format("{} of the bytes sent; {} carries {} beside its flags", p.efficiency, p.name, most)});
  }
  return out;
}

Doubts launch(const LibrarySpec& library) {
  Doubts out;
  if (library.launch.value > Time::milliseconds(10))
    out.push_back({"launch", fmt::format("{}; usual are 5 to 50 us", to_text(library.launch.value))});
  if (library.negotiate.value > Time::milliseconds(100))
    out.push_back(
        {"negotiate", fmt::format("{}; Horovod over MPI takes 10 to 100 us", to_text(library.negotiate.value))});
  return out;
}

/// Limits, corrections and the conditions of LL128 go by the name.
Doubts protocol_name(const LibrarySpec& library) {
  static const std::vector<std::string> kKnown = {"simple", "ll", "ll128"};
  Doubts out;
  for (std::size_t i = 0; i < library.protocols.size(); ++i) {
    const std::string& name = library.protocols[i].name;
    std::string plain;
    for (const char c : name) {
      if (std::isalnum(static_cast<unsigned char>(c)) != 0)
        plain += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    }
    const bool known = std::find(kKnown.begin(), kKnown.end(), plain) != kKnown.end();
    if (known && plain != name)
      out.push_back(
          {fmt::format("protocols[{}].name", i),
           fmt::format("\"{}\" is not \"{}\", so NCCL's limits of that protocol do not hold for it", name, plain)});
  }
  return out;
}

constexpr Rule<LibrarySpec> kRules[] = {
    {"message_cost", "messages of at most 1 ms", message_cost},
    {"path_order", "messages between nodes no cheaper than over NVLink", path_order},
    {"flags", "LL at 1/2 and LL128 at 15/16 of the wire, at most", flags},
    {"library_launch", "a launch of at most 10 ms, a negotiation of at most 100 ms", launch},
    {"protocol_name", "NCCL's protocols by their names here", protocol_name},
};

}  // namespace

std::span<const Rule<LibrarySpec>> library_rules() { return kRules; }

}  // namespace lockstep::check
