// What a communication library costs per message and per collective: NCCL of some version, Gloo, or nothing ("plain").
#pragma once

#include <string>
#include <vector>

#include "core/base/units.hpp"
#include "core/spec/sourced.hpp"

namespace lockstep {

enum class PathClass { Local, Nvlink, Pcie, Network };  ///< slowest kind of hop that a message crosses

struct ProtocolSpec {
  std::string name;                             ///< simple, ll, ll128
  double efficiency = 1;                        ///< payload bytes / wire bytes, in (0, 1]
  Time ring_base, tree_base;                    ///< once per collective
  Time ring_nvlink, ring_pcie, ring_network;    ///< added to every message of a ring, halving-doubling or exchange
  Time tree_nvlink, tree_pcie, tree_network;    ///< added to every message of a tree
  Bandwidth ring_cap = Bandwidth::unlimited();  ///< most that one rank can move per channel
  Bandwidth tree_cap = Bandwidth::unlimited();
  Bytes at_most = Bytes(0);  ///< only for collectives of at most this many bytes; 0 = no limit
};

struct LibrarySpec {
  std::string name;  ///< file stem
  std::string source;
  std::vector<ProtocolSpec> protocols;  ///< at least one
  Sourced<Time> launch;                 ///< from "bucket is full" to the first message, GPU or host launch included
  Sourced<Time> negotiate;    ///< a coordination round over all ranks (Horovod without fixed groups); zero = none
  Sourced<Bandwidth> reduce;  ///< rate at which received data is added; zero = hidden by the transfer
  Sourced<int>
      channels;  ///< of a collective's kernel; the thread block of each keeps a multiprocessor; 0 = no kernel on a GPU
  Sourced<double>
      memory_per_byte;       ///< bytes that a GPU's memory reads and writes for each byte that the GPU sends; 0 = none
  bool host_memory = false;  ///< messages start and end in host memory (Gloo over Ethernet)
  Sourced<Bandwidth> staging;     ///< GPU <-> host copy per node when staged; zero = not limiting beyond the links
  Sourced<Time> staging_latency;  ///< added to a message that is staged through the host
};

}  // namespace lockstep
