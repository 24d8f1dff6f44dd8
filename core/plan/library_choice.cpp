#include "core/plan/library_choice.hpp"

#include <algorithm>
#include <bit>

#include "core/base/error.hpp"
#include "core/base/units_text.hpp"
#include "core/plan/node_rings.hpp"
#include "core/spec/words.hpp"

namespace lockstep {

namespace {

using A = AllreduceAlgorithm;

int cables_between(const NodeSpec& node, int a, int b) {
  if (!node.nvlink.present) return 0;
  if (node.nvlink.through_switch) return node.nvlink.links_per_gpu;
  int sum = 0;
  for (const NvlinkPair& p : node.nvlink.pairs) sum += (p.a == a && p.b == b) || (p.a == b && p.b == a) ? p.links : 0;
  return sum;
}

bool over_nvlink(const NodeSpec& node, const std::vector<int>& order, bool closed) {
  if (order.size() < 2) return node.nvlink.present;
  for (std::size_t i = 0; i + 1 < order.size(); ++i) {
    if (cables_between(node, order[i], order[i + 1]) == 0) return false;
  }
  return !closed || cables_between(node, order.back(), order.front()) > 0;
}

/// Channels of one kind: rings, closed, or the chains of trees.
LibraryChannels search(const NodeSpec& node, const std::vector<std::vector<int>>& orders, bool closed,
                       const ArchitectureTuning& gpu, int nodes) {
  LibraryChannels found;
  found.nvlink = over_nvlink(node, orders.front(), closed);
  found.count = static_cast<int>(orders.size());
  found.bus = found.nvlink ? gpu.nvlink * found.count : std::min(node.pcie.x16.value, node.pcie.host_link.value);
  if (!found.nvlink && !(found.bus.bytes_per_second() > 0)) found.bus = node.pcie.x16.value;
  if (nodes == 1) return found;
  const int nics = std::max(1, node.nic.count);
  found.count = std::min(found.count, nics);
  const Bandwidth doors = node.nic.rate.value * (nics * (!closed && nodes == 2 ? 2 : 1));
  found.bus = orders.front().size() < 2 ? doors : std::min(found.bus, doors);
  return found;
}

/// The library's search for channels of NVLS: one per head, each of which takes its speed from every GPU's links and twice from its head's; between nodes
/// the speed of the NIC, half of it for more than two, whose trees branch (NVIDIA/nccl, src/graph/search.cc and tuning.cc).
Bandwidth nvls_bus(const NodeSpec& node, const NvlsSpec& nvls, const ArchitectureTuning& gpu, int heads, int nodes) {
  const auto fitting = [](const std::vector<double>& speeds, double most) {
    const auto it = std::find_if(speeds.begin(), speeds.end(), [&](double speed) { return speed <= most; });
    return it == speeds.end() ? 0.0 : *it;
  };
  const double links = gpu.nvlink.bytes_per_second() * node.nvlink.links_per_gpu / 1e9;
  double speed = fitting(nvls.speeds_inside, links / (heads + 1));
  if (nodes > 1) {
    const double nics = node.nic.rate.value.bytes_per_second() * node.nic.count / 1e9;
    speed = std::min(speed, fitting(nvls.speeds_network, nics / heads) / (nodes > 2 ? 2 : 1));
  }
  return Bandwidth::bytes_per_second(speed * heads * 1e9);
}

double correction(const TuningSpec& t, ProtocolKind protocol, std::int64_t bytes) {
  const auto& table = protocol == ProtocolKind::Ll      ? t.correction_ll
                      : protocol == ProtocolKind::Ll128 ? t.correction_ll128
                                                        : t.correction_simple;
  const auto units = static_cast<std::uint64_t>(std::max<std::int64_t>(1, bytes / 64));
  const auto entry = static_cast<std::size_t>(std::bit_width(units) - 1);
  return entry < table.size() ? table[entry] : 1;
}

int floor_log2(int n) { return std::bit_width(static_cast<unsigned>(n)) - 1; }

struct Job {
  const LibrarySpec& library;
  const LibraryView& view;
  const ArchitectureTuning& gpu;
  std::int64_t bytes;
};

const LibraryChannels& found(const Job& job, bool tree) { return tree ? job.view.tree : job.view.ring; }

Bandwidth estimated_bus(const Job& job, bool tree, ProtocolKind protocol) {
  const TuningSpec& t = job.library.tuning;
  const int nodes = job.view.nodes;
  const Bandwidth bus = std::min(found(job, tree).bus, job.gpu.bus);
  // A version that states a limit over all channels reckons with that alone.
  const auto most = [](Bandwidth all, Bandwidth channel, int channels) {
    return all < Bandwidth::unlimited() ? all : channel * channels;
  };
  if (!tree) {
    if (protocol == ProtocolKind::Ll) return std::min(bus * t.ring_ll, job.gpu.ll.at(nodes));
    if (protocol == ProtocolKind::Ll128)
      return std::min(bus * t.ring_ll128, most(t.ll128_bus, job.gpu.ll128_ring.at(nodes), job.view.ring.count));
    return bus;
  }
  const int channels = job.view.tree.count;
  const Bandwidth simple = std::min(bus * t.tree, most(t.tree_bus.at(nodes), job.gpu.tree.at(nodes), channels));
  if (protocol == ProtocolKind::Ll) return std::min(simple * t.tree_ll, job.gpu.ll.at(nodes));
  if (protocol == ProtocolKind::Ll128)
    return std::min(simple * (nodes == 1 ? t.tree_ll128_one_node : t.tree_ll128),
                    most(t.tree_bus.at(nodes), job.gpu.ll128_tree.at(nodes), channels));
  return simple;
}

Time estimated_latency(const Job& job, bool tree, const ProtocolSpec& p) {
  const TuningSpec& t = job.library.tuning;
  const int n = job.view.ranks, k = job.view.nodes;
  const bool nvlink = found(job, tree).nvlink;
  const ProtocolCosts& costs = tree ? p.tree : p.ring;
  Time inside = nvlink ? costs.nvlink : costs.pcie;
  const Time across = costs.network;
  if (k > 1) {
    if (p.kind() == ProtocolKind::Ll) inside = inside * t.inside_ll;
    if (!tree) inside = std::max(inside, t.inside_floor * (p.kind() == ProtocolKind::Simple ? 3 : 1));
  }
  if (tree) return p.tree.base + (inside * (n / k - 1) + across * floor_log2(k)) * 2;
  if (k > 1 && t.every_step_network) inside = across;
  Time latency = p.ring.base + inside * (2 * (n - 1) - 2 * (k - 1)) + across * (2 * (k - 1));
  const std::int64_t slow_from =
      t.slow_from_per_rank > 0 ? t.slow_from_per_rank * n : t.slow_from_per_channel * n * job.view.ring.count;
  if (p.kind() == ProtocolKind::Simple && k > 1 && slow_from > 0 && job.bytes >= slow_from)
    latency = latency * job.gpu.ring_slowdown;
  return latency;
}

LibraryEstimate by_estimate(const Job& job, bool tree, int protocol) {
  const ProtocolSpec& p = job.library.protocols[static_cast<std::size_t>(protocol)];
  const int n = job.view.ranks;
  LibraryEstimate e;
  e.algorithm = tree ? A::Tree : A::Ring;
  e.protocol = protocol;
  if (p.kind() == ProtocolKind::Ll128 && !job.gpu.ll128) {
    e.allowed = false;
    e.reason = "LL128 is off on this architecture";
  } else if (p.kind() == ProtocolKind::Ll128 && !(found(job, tree).nvlink && job.view.nics_beside_gpus)) {
    e.allowed = false;
    e.reason = found(job, tree).nvlink ? "LL128 needs GPU and NIC below one PCIe switch"
                                       : "LL128 needs NVLink inside the node";
  }
  e.latency = estimated_latency(job, tree, p);
  const Bandwidth bus = estimated_bus(job, tree, p.kind());
  e.bandwidth = tree ? bus * (0.5 * correction(job.library.tuning, p.kind(), job.bytes)) : bus * (n / (2.0 * (n - 1)));
  e.time = e.latency + Bytes(job.bytes) / e.bandwidth;
  return e;
}

LibraryEstimate by_nvls(const Job& job, int protocol) {
  const NvlsSpec& nvls = job.library.nvls;
  LibraryEstimate e;
  e.algorithm = A::Nvls;
  e.protocol = protocol;
  e.latency = nvls.base + nvls.inside + nvls.network * (2 * floor_log2(job.view.nodes));
  e.bandwidth = job.view.nvls_bus * nvls.believed;
  e.time = e.latency + Bytes(job.bytes) / e.bandwidth;
  return e;
}

/// NCCL 2.4: bytes up to which LL is taken. Threads double, then channels are added, while a thread has more than ll_channel_bytes.
std::int64_t ll_limit(const Job& job, bool tree, int channels) {
  const TuningSpec& t = job.library.tuning;
  const std::int64_t pieces = tree ? 1 : job.view.ranks;
  const auto up = [](std::int64_t a, std::int64_t b) { return (a + b - 1) / b; };
  std::int64_t threads = t.ll_least_threads;
  while (up(job.bytes, threads * pieces) > t.ll_channel_bytes && threads * 2 <= t.ll_most_threads) threads *= 2;
  const std::int64_t used = std::clamp<std::int64_t>(up(job.bytes, threads * pieces * t.ll_channel_bytes), 1, channels);
  return used * threads * pieces * job.gpu.ll_thread_bytes * (tree ? t.ll_tree : 1) *
         (job.view.nodes > 1 ? t.ll_nodes : 1);
}

LibraryEstimate by_threshold(const Job& job, bool tree, int protocol) {
  const TuningSpec& t = job.library.tuning;
  const int n = job.view.ranks, k = job.view.nodes;
  const ProtocolSpec& p = job.library.protocols[static_cast<std::size_t>(protocol)];
  const int found = job.view.ring.count;
  const int channels = found * t.copies <= t.most_channels ? found * t.copies : found;
  const Time ring_latency = t.ring_step * (n - 1);
  const Time tree_latency = t.tree_across * floor_log2(k) + t.tree_inside * (n / k - 1);
  const Bandwidth ring = t.channel * (job.view.ring.nvlink ? channels : 1);

  LibraryEstimate e;
  e.algorithm = tree ? A::Tree : A::Ring;
  e.protocol = protocol;
  e.latency = tree ? tree_latency : ring_latency;
  e.bandwidth = tree ? ring * (job.view.ring.nvlink ? t.tree_nvlink * (k == 2 ? 2 : 1) : t.tree_pcie) : ring;
  e.time = e.latency + Bytes(job.bytes) / e.bandwidth;
  if (tree && k == 1) {
    e.allowed = false;
    e.reason = "no trees inside one node";
  } else if (tree && ring_latency <= tree_latency && leaves(job.view.among, A::Ring)) {
    e.allowed = false;
    e.reason = "the ring's latency is no longer";
  }
  const std::int64_t limit = ll_limit(job, tree, channels);
  const bool ll = job.view.protocol == "auto" ? job.bytes <= limit : job.view.protocol == "ll";
  if (e.allowed && ll != (p.kind() == ProtocolKind::Ll)) {
    e.allowed = false;
    e.reason = (ll ? "LL up to " : "LL only up to ") + to_text(Bytes(limit));
  }
  return e;
}

bool asked(const LibrarySpec& library, const LibraryView& view, const LibraryEstimate& e) {
  const std::string& protocol = library.protocols[static_cast<std::size_t>(e.protocol)].name;
  return leaves(view.among, e.algorithm) && (view.protocol == "auto" || view.protocol == protocol);
}

std::string no_nvls_left(const NodeSpec& node, const LibrarySpec& library, int node_gpus, const LibraryView& view) {
  if (std::string wrong = no_nvls(node, &library, node_gpus, view.ranks); !wrong.empty()) return wrong;
  if (view.nodes == 1 && view.ranks < library.nvls.least_ranks)
    return std::to_string(view.ranks) + " GPUs; expected " + std::to_string(library.nvls.least_ranks) + " or more";
  if (view.protocol == "auto" || view.protocol == library.nvls.protocol) return "its search finds no channels";
  return "it goes by \"" + library.nvls.protocol + "\" only; expected auto or " + library.nvls.protocol;
}

}  // namespace

bool leaves(const std::vector<std::string>& among, AllreduceAlgorithm algorithm) {
  return among.empty() || std::find(among.begin(), among.end(), word_of(algorithm)) != among.end();
}

std::string nothing_left(const NodeSpec& node, const LibrarySpec& library, int node_gpus, const LibraryView& view) {
  const bool known =
      view.protocol == "auto" || std::any_of(library.protocols.begin(), library.protocols.end(),
                                             [&](const ProtocolSpec& p) { return p.name == view.protocol; });
  const auto estimates = library_estimates(library, view, Bytes(1));
  if (!known || estimates.empty() || library_choice(estimates) >= 0) return "";
  std::string why;
  const auto add = [&](const std::string& reason) { why += (why.empty() ? "" : "; ") + reason; };
  for (const LibraryEstimate& e : estimates) {
    if (asked(library, view, e))
      add(word_of(e.algorithm) + "/" + library.protocols[static_cast<std::size_t>(e.protocol)].name + ": " + e.reason);
  }
  if (!view.among.empty() && leaves(view.among, A::Nvls)) add("nvls: " + no_nvls_left(node, library, node_gpus, view));
  return why;
}

std::string no_nvls(const NodeSpec& node, const LibrarySpec* library, int node_gpus, int ranks) {
  if (!library || !library->nvls.present)
    return (library ? "library " + library->name : "this world") + " has no [nvls]; expected one such as nccl-2.27";
  if (!node.nvlink.present || !node.nvlink.switch_adds)
    return "no switch of the node adds, or a link to it has failed; expected node.nvlink.switch_adds = true";
  if (ranks % std::min(node_gpus, ranks) != 0)
    return std::to_string(ranks) + " GPUs leave the last node short; expected a multiple of " +
           std::to_string(node_gpus);
  if (ranks > node_gpus && node_gpus < 2) return "nodes of one GPU have nothing to add; expected two or more";
  if (ranks > node_gpus && !library->nvls.trees)
    return "library " + library->name + " has no trees of NVLS; expected one node of at most " +
           std::to_string(node_gpus) + " GPUs";
  return "";
}

LibraryView library_view(const NodeSpec& node, const LibrarySpec& library, int node_gpus, int ranks, int capability,
                         int most_channels) {
  LOCKSTEP_EXPECTS(node_gpus >= 1 && ranks >= 1);
  const ArchitectureTuning& gpu = library.tuning.of(capability);
  LibraryView v;
  v.ranks = ranks;
  v.nodes = (ranks + node_gpus - 1) / node_gpus;
  v.capability = capability;
  v.ring = search(node, node_rings(node, node_gpus, most_channels), true, gpu, v.nodes);
  v.tree = search(node, node_chains(node, node_gpus, most_channels), false, gpu, v.nodes);
  const int heads = std::min(ranks, node_gpus);
  if (heads >= library.nvls.least_ranks && no_nvls(node, &library, node_gpus, ranks).empty())
    v.nvls_bus = nvls_bus(node, library.nvls, gpu, heads, v.nodes);
  v.nics_beside_gpus = v.nodes == 1 || node.nics_beside(node_gpus);
  return v;
}

std::vector<LibraryEstimate> library_estimates(const LibrarySpec& library, const LibraryView& view, Bytes size) {
  std::vector<LibraryEstimate> out;
  if (library.tuning.rule == TuningRule::None) return out;
  const Job job{library, view, library.tuning.of(view.capability), std::max<std::int64_t>(1, size.count())};
  for (const bool tree : {false, true}) {
    for (int p = 0; p < static_cast<int>(library.protocols.size()); ++p) {
      if (view.ranks == 1) {
        LibraryEstimate alone;
        alone.algorithm = tree ? A::Tree : A::Ring;
        alone.protocol = p;
        const std::string& name = library.protocols[static_cast<std::size_t>(p)].name;
        alone.allowed = !tree && (view.protocol == "auto" ? p == 0 : view.protocol == name);
        alone.reason = "one rank";
        out.push_back(std::move(alone));
        continue;
      }
      out.push_back(library.tuning.rule == TuningRule::Estimates ? by_estimate(job, tree, p)
                                                                 : by_threshold(job, tree, p));
    }
  }
  for (int p = 0; p < static_cast<int>(library.protocols.size()); ++p) {
    if (view.nvls_bus.bytes_per_second() > 0 &&
        library.protocols[static_cast<std::size_t>(p)].name == library.nvls.protocol)
      out.push_back(by_nvls(job, p));
  }
  for (LibraryEstimate& e : out) {
    if (view.ranks == 1 || asked(library, view, e)) continue;
    e.allowed = false;
    e.reason = "not asked for";
  }
  return out;
}

int library_choice(const std::vector<LibraryEstimate>& estimates, AllreduceAlgorithm algorithm, int protocol) {
  int best = -1;
  for (int i = 0; i < static_cast<int>(estimates.size()); ++i) {
    const LibraryEstimate& e = estimates[static_cast<std::size_t>(i)];
    if (!e.allowed || (algorithm != A::Library && e.algorithm != algorithm) ||
        (protocol >= 0 && e.protocol != protocol))
      continue;
    if (best >= 0) {
      const LibraryEstimate& b = estimates[static_cast<std::size_t>(best)];
      if (e.time > b.time || (e.time == b.time && e.algorithm == b.algorithm)) continue;
    }
    best = i;
  }
  return best;
}

std::string to_text(const LibrarySpec& library, const std::vector<LibraryEstimate>& estimates, int chosen, int others) {
  const auto one = [&](const LibraryEstimate& e) {
    const std::string name = word_of(e.algorithm) + "/" + library.protocols[static_cast<std::size_t>(e.protocol)].name;
    return name + " " + (e.allowed ? to_text(e.time) : "off: " + e.reason);
  };
  std::vector<const LibraryEstimate*> rest;
  for (int i = 0; i < static_cast<int>(estimates.size()); ++i) {
    if (i != chosen) rest.push_back(&estimates[static_cast<std::size_t>(i)]);
  }
  std::stable_sort(rest.begin(), rest.end(), [](const LibraryEstimate* a, const LibraryEstimate* b) {
    return a->allowed != b->allowed ? a->allowed : a->time < b->time;
  });
  std::string text = chosen >= 0 ? one(estimates[static_cast<std::size_t>(chosen)]) : "none";
  for (std::size_t i = 0; i < rest.size() && static_cast<int>(i) < others; ++i)
    text += (i == 0 ? "; else " : ", ") + one(*rest[i]);
  return text;
}

}  // namespace lockstep
