// What a communication library costs per message and per collective: NCCL of some version, Gloo, or nothing ("plain").
#pragma once

#include <string>
#include <vector>

#include "core/base/units.hpp"
#include "core/spec/sourced.hpp"
#include "core/spec/tuning_spec.hpp"

namespace lockstep {

enum class PathClass { Local, Nvlink, Pcie, Network };  ///< slowest kind of hop that a message crosses

/// What a protocol costs beside its bytes.
struct ProtocolCosts {
  Time base;                   ///< once per collective
  Time nvlink, pcie, network;  ///< added to every message, by the slowest kind of hop that it crosses

  Time at(PathClass path) const;  ///< zero for a message that does not leave its GPU
};

/// What NCCL's limits, corrections and choice know a protocol as.
enum class ProtocolKind {
  Simple,
  Ll,     ///< 8 bytes of which 4 are flags
  Ll128,  ///< 128 bytes of which 8 are flags
  Other   ///< a name that is none of NCCL's: nothing of [tuning] is about it
};

struct ProtocolSpec {
  std::string name;       ///< simple, ll, ll128, or any
  double efficiency = 1;  ///< payload bytes / wire bytes, in (0, 1]
  ProtocolCosts ring;     ///< of rings, halving-doubling and exchanges
  ProtocolCosts tree;
  /// The tree's costs per message hold the transfer of a chunk, as NCCL's tables up to 2.8 do: events then charge a tree the ring's cost
  /// per message and move the chunk themselves. The library's own choice takes the costs as they are.
  bool tree_holds_chunk = false;
  Bytes chunk = Bytes(0);  ///< of a ring, per channel: longer pieces go round in several loops; 0 = no limit
  Bytes tree_chunk =
      Bytes(0);  ///< of a tree: the largest; small sizes halve it (core/plan/tree_chunk.hpp); 0 = the run's
  Bandwidth ring_cap = Bandwidth::unlimited();  ///< most of one rank per channel, on the wire; no matter without orders
  Bandwidth tree_cap = Bandwidth::unlimited();  ///< likewise; two trees, up and down each, have a quarter each
  Bandwidth total_cap = Bandwidth::unlimited();  ///< over all channels of a rank; set by limited_to(), not by files
  Bytes at_most = Bytes(0);                      ///< only for collectives of at most this many bytes; 0 = no limit

  ProtocolKind kind() const;  ///< by the name
};

/// Allreduces in switches that add and copy (NVLink SHARP).
struct NvlsSpec {
  bool present = false;    ///< the library has them
  std::string protocol;    ///< the one that they go by
  int least_ranks = 3;     ///< of a node, for the library's own choice
  bool trees = false;      ///< over several nodes too
  int channels = 1;        ///< each has a chunk of every share under way
  Bytes chunk = Bytes(1);  ///< the largest; small sizes take shorter ones (allreduce_candidates)
  Time base;               ///< once per collective
  Time inside;             ///< to add and copy a chunk within a node
  Time network;            ///< added to every message between nodes
  Sourced<double> share{
      1.0};          ///< of NVLink's rate as the copy engine reaches it, what additions and copies reach; in (0, 1]
  RateByNodes tree;  ///< over several nodes, most of one head, as bus bandwidth
  // What the library's choice believes: channels as many as heads, each at one of the speeds (GB/s, falling), `believed` of which is algbw.
  std::vector<double> speeds_inside, speeds_network;  ///< GB/s
  double believed = 1;                                ///< in (0, 1]
};

struct LibrarySpec {
  std::string name;  ///< file stem
  std::string source;
  std::vector<ProtocolSpec> protocols;  ///< at least one
  NvlsSpec nvls;
  TuningSpec tuning;  ///< how it chooses among algorithms and protocols
  bool limits =
      true;  ///< its protocols keep to what the tuning says of whole ranks (limited_to); not in files: `[effects] protocol` clears it
  /// Of NVLink's rate as the copy engine reaches it (cluster files), what the library's kernels reach. In (0, 1].
  Sourced<double> nvlink_share{1.0};
  Sourced<Time> launch;       ///< from "bucket is full" to the first message, GPU or host launch included
  Sourced<Time> negotiate;    ///< a coordination round over all ranks (Horovod without fixed groups); zero = none
  Sourced<Bandwidth> reduce;  ///< rate at which received data is added; zero = hidden by the transfer
  Sourced<int>
      channels;  ///< of a collective's kernel; the thread block of each keeps a multiprocessor; 0 = no kernel on a GPU
  Sourced<double>
      memory_per_byte;       ///< bytes that a GPU's memory reads and writes for each byte that the GPU sends; 0 = none
  bool host_memory = false;  ///< messages start and end in host memory (Gloo over Ethernet)
  Sourced<Time> staging_latency;  ///< added to a message between nodes that is copied through host memory

  Sourced<Time> tcp_latency;  ///< added to a message between nodes over TCP; zero where the protocols' costs are of TCP
  bool many_connections = false;  ///< opens NicSpec::connections per channel, not one
};

/// The library on GPUs of this capability and this many nodes: protocols whose tree costs hold a chunk get the ring's costs for trees; with
/// `limits` the architecture's limits for whole ranks become `total_cap` of its protocols, and those for a channel `ring_cap` and `tree_cap`
/// (LL128; LL on an NVLink ring; trees over nodes: threads limit them, not cables). For events and estimates; its own choice needs the file as it is.
LibrarySpec limited_to(LibrarySpec library, int capability, int nodes);

}  // namespace lockstep
