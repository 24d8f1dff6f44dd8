#include "core/plan/planner.hpp"

#include <algorithm>
#include <bit>

#include "core/base/error.hpp"
#include "core/plan/library_choice.hpp"
#include "core/plan/node_rings.hpp"
#include "core/plan/tree_chunk.hpp"

namespace lockstep {

namespace {

std::vector<AllreduceAlgorithm> choices(AllreduceAlgorithm asked, std::vector<AllreduceAlgorithm> all) {
  if (asked != AllreduceAlgorithm::Auto) return {asked};
  return all;
}

/// LL and LL128 pass lines on as they come, they do not wait for a chunk: a sixteenth of what a channel carries, which bounds the number of
/// events, not below what a warp of LL has under way, 32 x 8 bytes.
std::int64_t passed_on(Bytes size, std::int64_t chunk, int channels) {
  constexpr std::int64_t kPieces = 16, kWarp = 256;
  return std::min(chunk, std::max(kWarp, size.count() / (channels * kPieces)));
}

/// NCCL (NVIDIA/nccl, src/enqueue.cc): the chunk of a channel and head is cut for sizes that would not keep all of them busy for some rounds.
std::int64_t nvls_chunk(Bytes size, const NvlsSpec& nvls, int heads, int nodes) {
  std::int64_t chunk = nvls.chunk.count();
  const auto cut = [&](int rounds, std::int64_t to) {
    if (size.count() < rounds * chunk * nvls.channels * heads) chunk = std::min(chunk, to);
  };
  if (nodes == 1) {
    cut(64, Bytes::kib(64).count());
    cut(8, Bytes::kib(32).count());
    cut(2, Bytes::kib(16).count());
  } else {
    if (nodes >= 4) chunk = std::min(chunk, Bytes::kib(64).count());
    cut(32, Bytes::kib(256).count());
    cut(16, Bytes::kib(128).count());
    cut(4, Bytes::kib(64).count());
    cut(1, Bytes::kib(32).count());
  }
  return chunk;
}

CollectivePlan nvls_plan(CollectiveRequest request, const NvlsSpec& nvls) {
  request.algorithm = AllreduceAlgorithm::Nvls;
  const int heads = std::min(request.node_gpus, request.world_size);
  const Bytes size(request.elements * request.element_bytes);
  const int nodes = request.world_size / heads, trees = nodes > 1 ? 2 : 1;  // each tree has its share of the channels
  const std::int64_t chunk = nvls_chunk(size, nvls, heads, nodes) * nvls.channels / trees;
  request.nvls_chunk = std::max<std::int64_t>(1, chunk / request.element_bytes);
  return plan_collective(request);
}

/// Turns each chain that can begin anywhere so that the heads take the NICs in turn, as the library's search gives every channel a NIC.
std::vector<std::vector<int>> spread_heads(std::vector<std::vector<int>> chains, const NodeSpec& node) {
  const int nics = std::max(1, node.nic.count);
  if (chains.size() < 2) return chains;  // a single one may be a path, which cannot be turned
  for (std::size_t c = 0; c < chains.size(); ++c) {
    const auto head = std::find_if(chains[c].begin(), chains[c].end(),
                                   [&](int gpu) { return node.nic_of(gpu) == static_cast<int>(c) % nics; });
    if (head != chains[c].end()) std::rotate(chains[c].begin(), head, chains[c].end());
  }
  return chains;
}

/// Rings over nodes: as many as give every NIC of a whole node the same number, where the run does not say how many.
CollectiveRequest over_all_nics(CollectiveRequest request, const NodeSpec& node, int asked) {
  const int nics = std::max(1, node.nic.count);
  if (asked > 0 || nics == 1) return request;
  const auto spread = [&](std::vector<std::vector<int>>& orders, int gpus) {
    const int found = static_cast<int>(orders.size());
    if (found == 1) orders = node_rings(node, gpus, nics);  // over PCIe: rotations of it
    if (found > nics) orders.resize(static_cast<std::size_t>(found / nics * nics));
  };
  spread(request.ring_orders, request.node_gpus);
  if (!request.last_orders.empty()) spread(request.last_orders, request.world_size % request.node_gpus);
  return request;
}

/// Channels that the run asks for, else over several nodes as many as there are NICs; 0: as many as the cables in a node give.
int most_channels(const RunSpec& run, const NodeSpec& node, bool one_node) {
  const int asked = run.allreduce.channels;
  return asked == 0 && !one_node ? std::max(1, node.nic.count) : asked;
}

/// Chains through a node's GPUs for trees of nodes.
std::vector<std::vector<int>> tree_chains(const NodeSpec& node, int gpus, int at_most) {
  return spread_heads(node_chains(node, gpus, at_most), node);
}

/// Ring and tree of nodes for each protocol, as a library with channels and buffers of its own would run them.
std::vector<CollectivePlan> library_candidates(const RunSpec& run, const NodeSpec& node, const LibrarySpec& library,
                                               CollectiveRequest request) {
  const bool one_node = request.world_size <= request.node_gpus;
  const auto asked = [&](AllreduceAlgorithm algorithm) {
    return request.world_size == 1 || leaves(run.allreduce.among, algorithm);
  };
  const int copies = library.tuning.copies;
  const int nodes = (request.world_size + request.node_gpus - 1) / request.node_gpus;
  const int most = most_channels(run, node, one_node);
  const auto rings = node_rings(node, request.node_gpus, most);
  const auto chains = tree_chains(node, request.node_gpus, most);
  const int rest = request.world_size % request.node_gpus;
  const auto last_rings = rest > 0 ? node_rings(node, rest, most) : rings;
  const auto last_chains = rest > 0 ? tree_chains(node, rest, most) : chains;
  const auto elements = [&](std::int64_t bytes) { return std::max<std::int64_t>(1, bytes / request.element_bytes); };
  const std::int64_t own_chunk = request.chunk;

  std::vector<CollectivePlan> plans;
  for (const AllreduceAlgorithm algorithm : {AllreduceAlgorithm::Ring, AllreduceAlgorithm::Tree}) {
    if (!asked(algorithm)) continue;
    for (std::size_t p = 0; p < library.protocols.size(); ++p) {
      const ProtocolSpec& protocol = library.protocols[p];
      if (run.allreduce.protocol != "auto" && run.allreduce.protocol != protocol.name) continue;
      const bool ring = algorithm == AllreduceAlgorithm::Ring;
      request.algorithm = ring ? algorithm : AllreduceAlgorithm::NodeTree;
      request.ring_orders = ring ? rings : chains;
      request.last_orders = ring ? last_rings : last_chains;
      const int orders = std::max<int>(1, static_cast<int>(request.ring_orders.size()));
      request.copies = orders * copies <= library.tuning.most_channels ? copies : 1;
      // The copies of a ring share its cables and keep step, so they are simulated as one with a chunk as long as theirs together.
      request.ring_chunk = protocol.chunk > Bytes(0) ? elements(protocol.chunk.count() * request.copies) : 0;
      request.chunk = own_chunk;
      if (protocol.tree_chunk > Bytes(0)) {
        const int channels = static_cast<int>(std::min(chains.size(), last_chains.size())) * request.copies;
        const int depth = request.node_gpus - 1 + std::bit_width(static_cast<unsigned>(nodes));
        const Bytes size(request.elements * request.element_bytes);
        const std::int64_t chunk = protocol.kind() == ProtocolKind::Ll
                                       ? protocol.tree_chunk.count()
                                       : tree_chunk(size, protocol.tree_chunk, channels, depth);
        request.chunk = elements(protocol.kind() == ProtocolKind::Simple ? chunk : passed_on(size, chunk, channels));
      }
      plans.push_back(plan_collective(request));
      plans.back().algorithm = algorithm;  // the library calls its trees of nodes trees
      plans.back().protocol = static_cast<int>(p);
    }
  }
  if (!asked(AllreduceAlgorithm::Nvls) || (one_node && request.world_size < library.nvls.least_ranks)) return plans;
  if (!no_nvls(node, &library, request.node_gpus, request.world_size).empty()) return plans;
  for (std::size_t p = 0; p < library.protocols.size(); ++p) {
    const std::string& name = library.protocols[p].name;
    if (name != library.nvls.protocol || (run.allreduce.protocol != "auto" && run.allreduce.protocol != name)) continue;
    plans.push_back(nvls_plan(request, library.nvls));
    plans.back().protocol = static_cast<int>(p);
  }
  return plans;
}

[[noreturn]] void none_among(const AllreduceSpec& asked, const LibrarySpec& library) {
  std::string names;
  for (const std::string& name : asked.among) names += (names.empty() ? "" : ", ") + name;
  throw ConfigError(library.name, "allreduce.among",
                    "the library uses none of " + names + " for this job with protocol \"" + asked.protocol + "\"");
}

}  // namespace

int gpus_per_node_used(const RunSpec& run, const NodeSpec& node) { return std::min(run.cluster.gpus, node.gpus); }

std::vector<CollectivePlan> allreduce_candidates(const RunSpec& run, const NodeSpec& node, int node_gpus,
                                                 std::int64_t elements, int element_bytes, const LibrarySpec* library) {
  using A = AllreduceAlgorithm;
  CollectiveRequest request;
  request.world_size = run.cluster.gpus;
  request.node_gpus = node_gpus;
  request.torus_x = run.allreduce.torus_x;
  request.elements = elements;
  request.element_bytes = element_bytes;
  if (const std::int64_t chunk = run.allreduce.chunk.count(); chunk > 0)
    request.chunk = std::max<std::int64_t>(1, chunk / element_bytes);
  for (int local = 0; node.nic.count > 1 && local < node_gpus; ++local) request.nic_of.push_back(node.nic_of(local));
  if (run.allreduce.algorithm == A::Library) {
    if (!library || library->tuning.rule == TuningRule::None)
      throw ConfigError(library ? library->name : "", "allreduce.algorithm",
                        "\"library\" needs a library with a rule of choice ([tuning]), such as nccl-2.8");
    return library_candidates(run, node, *library, std::move(request));
  }
  const bool one_node = request.world_size <= node_gpus;
  request.ring_orders = node_rings(node, node_gpus, run.allreduce.channels);
  if (const int rest = request.world_size % node_gpus; rest > 0 && !one_node)
    request.last_orders = node_rings(node, rest, run.allreduce.channels);

  const std::string no_switches = no_nvls(node, library, node_gpus, request.world_size);
  if (run.allreduce.algorithm == A::Nvls) {
    if (request.world_size > 1 && !no_switches.empty())
      throw ConfigError(library ? library->name : "", "allreduce.algorithm", "\"nvls\": " + no_switches);
    return {nvls_plan(std::move(request), library ? library->nvls : NvlsSpec{})};
  }
  std::vector<CollectivePlan> plans;
  // Over nodes of several GPUs a tree of all ranks is left out: it crosses more cables between nodes than a tree of nodes.
  const A tree = one_node || node_gpus == 1 ? A::Tree : A::NodeTree;
  std::vector<A> all{A::Ring, A::HalvingDoubling, tree};
  if (!one_node) all.push_back(A::Hierarchical);
  for (const A algorithm : choices(run.allreduce.algorithm, all)) {
    request.algorithm = algorithm;
    const auto across = two_level(algorithm) ? choices(run.allreduce.across, {A::Ring, A::HalvingDoubling, A::Tree})
                                             : std::vector{A::Ring};
    CollectiveRequest own = request;
    if (algorithm == A::Ring && !one_node) own = over_all_nics(std::move(own), node, run.allreduce.channels);
    if (algorithm == A::NodeTree) {
      const int most = most_channels(run, node, one_node);
      own.ring_orders = tree_chains(node, node_gpus, most);
      own.last_orders.clear();
      if (const int rest = request.world_size % node_gpus; rest > 0 && !one_node)
        own.last_orders = tree_chains(node, rest, most);
    }
    for (const A a : across) {
      own.across = a;
      plans.push_back(plan_collective(own));
    }
  }
  const bool its_protocol =
      run.allreduce.protocol == "auto" || (library && run.allreduce.protocol == library->nvls.protocol);
  if (run.allreduce.algorithm == A::Auto && no_switches.empty() && its_protocol)
    plans.push_back(nvls_plan(request, library->nvls));
  return plans;
}

CollectivePlan plan_allreduce(const RunSpec& run, const NodeSpec& node, int node_gpus, std::int64_t elements,
                              int element_bytes, const CostTable& costs, const LibrarySpec* library) {
  std::vector<CollectivePlan> plans = allreduce_candidates(run, node, node_gpus, elements, element_bytes, library);
  const bool by_library = run.allreduce.algorithm == AllreduceAlgorithm::Library;
  const bool restricted = by_library && !run.allreduce.among.empty();
  if (plans.empty() && restricted) none_among(run.allreduce, *library);
  if (plans.empty())
    throw ConfigError(library ? library->name : "", "allreduce.protocol",
                      "\"" + run.allreduce.protocol + "\" is not a protocol of the library");
  if (plans.size() == 1 && !by_library) return std::move(plans.front());
  std::size_t best = 0;
  Time best_cost = Time::never();
  for (std::size_t i = 0; i < plans.size(); ++i) {
    const Time cost = costs(plans[i]);
    if (cost < best_cost) {
      best = i;
      best_cost = cost;
    }
  }
  if (best_cost == Time::never() && restricted) none_among(run.allreduce, *library);
  if (by_library && best_cost == Time::never())
    throw ConfigError(library->name, "allreduce.protocol",
                      "the library does not use \"" + run.allreduce.protocol + "\" for this job");
  return std::move(plans[best]);
}

StepProgram plan_step(const RunSpec& run, std::int64_t global_batch, const NodeSpec& node,
                      std::shared_ptr<const ModelGraph> fused, const std::vector<Time>& ready, const CostTable& costs,
                      const LibrarySpec* library) {
  BucketPlan buckets = plan_buckets(*fused, run.buckets, wire_precision(run), ready);
  std::vector<CollectivePlan> collectives;
  const int node_gpus = gpus_per_node_used(run, node);
  RunSpec own = run;
  for (const Bucket& bucket : buckets.buckets) {
    const BucketAlgorithm asked = bucket_algorithm(run.allreduce, collectives.size());
    own.allreduce.algorithm = asked.algorithm;
    own.allreduce.across = asked.across;
    collectives.push_back(plan_allreduce(own, node, node_gpus, bucket.elements, bucket.element_bytes, costs, library));
  }
  return build_step_program(std::move(fused), std::move(buckets), std::move(collectives),
                            accumulation_at(run, global_batch), run.allreduce.overlap, run.optimizer.update,
                            run.cluster.gpus, run.training.norm_group);
}

}  // namespace lockstep
