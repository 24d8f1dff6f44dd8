// What a cluster file says: the node, its links, and the network between nodes.
#pragma once

#include <string>
#include <vector>

#include "core/base/units.hpp"
#include "core/spec/sourced.hpp"

namespace lockstep {

/// NVLink cables between a pair of GPUs of a node; each link carries `NvlinkSpec::per_link` per direction.
struct NvlinkPair {
  int a = 0, b = 0, links = 1;
};

struct NvlinkSpec {
  bool present = false;
  bool through_switch = false;    ///< NVSwitch: every GPU has `links_per_gpu` to a non-blocking switch
  bool switch_adds = false;       ///< the switch adds and copies what passes (NVLink SHARP: NVSwitch 3 and later)
  int links_per_gpu = 0;          ///< with a switch
  std::vector<NvlinkPair> pairs;  ///< without
  Sourced<Bandwidth> per_link;    ///< achieved, per direction
  Sourced<Time> latency;          ///< of the wire; protocol cost comes from the library file
};

struct PcieSpec {
  std::vector<std::vector<int>> switches;  ///< local ranks below each switch; each switch has one x16 up to its CPU
  std::vector<int> cpu_of_switch;          ///< socket of each switch
  Sourced<Bandwidth> x16;                  ///< achieved, per direction
  Sourced<Time> latency;                   ///< per crossing of a switch or host bridge
  Sourced<Bandwidth> host_link;            ///< between sockets (QPI / UPI), per direction
  /// What a GPU writes to host memory and reads from it at once, each: copies on the way to another GPU or to an adapter, also where no switches are
  /// listed. Zero: as fast as the bus.
  Sourced<Bandwidth> host_copy;
};

/// How messages leave the node.
enum class NicTransport {
  Rdma,  ///< verbs: the adapter moves them
  Tcp    ///< connections of the kernel
};

struct NicSpec {
  int count = 0;
  NicTransport transport = NicTransport::Rdma;
  Sourced<Bandwidth>
      connection;           ///< of TCP, else no matter: most that one connection carries; zero = as much as the NIC
  int connections = 1;      ///< of TCP: what a library that knows the adapter opens for each of its channels, >= 1
  Sourced<Bandwidth> rate;  ///< achieved, per direction, per NIC
  Sourced<Time> latency;    ///< NIC to first switch port
  std::vector<int> cpu;     ///< socket of NIC i, used when `under_switch` is empty
  std::vector<int> under_switch;  ///< PCIe switch of NIC i; empty = NICs sit on their CPU's own port
  std::vector<int> nic_of_gpu;    ///< which NIC local rank i uses; as many as GPUs where there are NICs
};

struct NodeSpec {
  int gpus = 1;
  std::string gpu;  ///< stem of a GPU file, or a path
  NvlinkSpec nvlink;
  PcieSpec pcie;
  NicSpec nic;

  int nic_of(int rank) const;  ///< which NIC this local rank uses; the node has one
  /// Each of the first `used` GPUs stands below the PCIe switch of its NIC.
  bool nics_beside(int used) const;
  /// Some two of the local ranks [first, end) have neither NVLink nor a PCIe switch in common: their messages go through a host bridge.
  bool meets_in_host(int first, int end) const;
};

/// One tier of switches. Tier 0 connects to NICs, tier i to tier i - 1. Cables between two switches are separate links.
struct TierSpec {
  std::string name;         ///< "leaf", "fbb", "director"
  int group = 0;            ///< tier 0: NIC ports per switch; else how many lower-tier GROUPS join here (0 = all)
  int switches = 1;         ///< switches of this tier per group
  int cables = 1;           ///< cables from each lower switch of the group to each switch of this tier
  Sourced<Bandwidth> rate;  ///< of a cable, per direction
  Sourced<Time> hop;        ///< crossing one switch of this tier, cable included
};

enum class NetworkKind { None, Star, FatTree };

struct NetworkSpec {
  NetworkKind kind = NetworkKind::None;
  int nodes_per_rack = 0;       ///< fat tree: nodes whose ports fill one group of leaves; 0 = one after the other
  int leaves_per_rack = 0;      ///< fat tree: leaves that form one lower group (ABCI: 4)
  std::vector<TierSpec> tiers;  ///< star: one tier; fat tree: one or more

  /// Leaves of a rack whose nodes have `nics` ports each: leaves_per_rack, or as many as the ports need; 0 without racks. Of a fat tree whose
  /// leaves have ports.
  std::int64_t rack_leaves(int nics) const;
  /// Leaves of `nodes` nodes.
  std::int64_t leaves(std::int64_t nodes, int nics) const;
};

struct ClusterSpec {
  std::string name;  ///< file stem
  std::string title;
  int nodes = 1;
  NodeSpec node;
  NetworkSpec network;
  int total_gpus() const { return nodes * node.gpus; }
};

/// Ranges, counts and connectivity; see validate(RunSpec) for the form of the faults.
std::vector<struct Fault> validate(const ClusterSpec& cluster);

}  // namespace lockstep
