// What a communication library would choose, ring or tree and which protocol, by its own rule. Choices only: times come from events.
#pragma once

#include <string>
#include <vector>

#include "core/spec/cluster_spec.hpp"
#include "core/spec/library_spec.hpp"
#include "core/spec/run_spec.hpp"

namespace lockstep {

/// Rings inside a node, or chains, as the library's search finds them.
struct LibraryChannels {
  bool nvlink = false;  ///< they run over NVLink only
  int count = 1;        ///< without copies
  Bandwidth bus;        ///< count x speed of one; over several nodes no more than the NICs together
};

/// The job as the library's search sees it.
struct LibraryView {
  int ranks = 1, nodes = 1;
  int capability = 70;         ///< of the GPUs
  LibraryChannels ring, tree;  ///< of trees the chains inside a node
  Bandwidth
      nvls_bus;  ///< heads x speed of one where switches add; over several nodes held back by the NICs; zero: they cannot
  bool nics_beside_gpus =
      false;  ///< or one node; else each below the PCIe switch of its NIC: LL128 needs it and NVLink
  std::string protocol = "auto";   ///< AllreduceSpec::protocol, which restricts the rule as NCCL_PROTO does
  std::vector<std::string> among;  ///< AllreduceSpec::among
};

/// Whether `among` (AllreduceSpec::among) leaves `algorithm` to the rule.
bool leaves(const std::vector<std::string>& among, AllreduceAlgorithm algorithm);

/// `node_gpus` >= 1 GPUs of each node, `ranks` >= 1 in all. Rings and chains as node_rings() and node_chains() find them, one per NIC over several
/// nodes and `most_channels` at most (0: all); a link counts with the library's own figure for its architecture, a NIC and PCIe with the cluster's. On two nodes the search lets a
/// tree's channels be twice as fast inside as between (NCCL's search, from memory). The library needs architectures.
LibraryView library_view(const NodeSpec& node, const LibrarySpec& library, int node_gpus, int ranks, int capability,
                         int most_channels = 0);

/// Why the switches of these nodes cannot carry an allreduce of this library, with what was expected; empty if they can. `library` may be null.
std::string no_nvls(const NodeSpec& node, const LibrarySpec* library, int node_gpus, int ranks);

/// One candidate.
struct LibraryEstimate {
  AllreduceAlgorithm algorithm = AllreduceAlgorithm::Ring;  ///< Ring, Tree or Nvls
  int protocol = 0;                                         ///< index into the library's protocols
  bool allowed = true;
  std::string reason;  ///< why it is not allowed, or the threshold that decides; may be empty
  Time latency;
  Bandwidth bandwidth;  ///< algbw, correction by size included
  Time time;            ///< latency + bytes / bandwidth: what the library believes
};

/// Every (algorithm, protocol) in the order ring before tree, protocols as in the file; last NVLS, where the node's switches add and the library has it. Rules and their sources: TuningSpec and the library
/// files. What the view's `protocol` and `among` exclude is not allowed, and no threshold decides between it and the rest (NCCL_LL_THRESHOLD, NCCL_TREE_THRESHOLD). One rank: only ring
/// with the first protocol, or the view's, is allowed, at no time. Pure.
std::vector<LibraryEstimate> library_estimates(const LibrarySpec& library, const LibraryView& view, Bytes size);

/// Index of the allowed candidate with the least time; ties: NVLS before a tree before a ring, as in NCCL, then the first. `algorithm` Ring, Tree or Nvls and
/// `protocol` >= 0: only of these. -1 if none is left.
int library_choice(const std::vector<LibraryEstimate>& estimates,
                   AllreduceAlgorithm algorithm = AllreduceAlgorithm::Library, int protocol = -1);

/// Why the view's `protocol` and `among` leave the rule no candidate at any size, with what was expected; empty if they leave one, there is no rule, or the library has
/// no such protocol.
/// `node` and `node_gpus` are those of the view.
std::string nothing_left(const NodeSpec& node, const LibrarySpec& library, int node_gpus, const LibraryView& view);

/// "ring/ll 41.4 us; else tree/ll128 42.7 us, ring/ll128 45.1 us": the chosen one, then up to `others` more by rising time.
std::string to_text(const LibrarySpec& library, const std::vector<LibraryEstimate>& estimates, int chosen, int others);

}  // namespace lockstep
