// Where the parts of a node stand in a drawing: columns only.
#pragma once

#include <map>
#include <vector>

#include "core/spec/cluster_spec.hpp"

namespace lockstep::check {

constexpr double kGutter = 320;  ///< left column, for labels
constexpr double kPitch = 92;    ///< from GPU to GPU, at least
constexpr double kGpuWidth = 72;
constexpr double kNicWidth = 60;
constexpr double kCpuWidth = 84;

struct Span {
  double left = 0, right = 0;
  double middle() const { return (left + right) / 2; }
};

/// All x in pixels. GPUs stand in the order of sockets and PCIe switches; a socket over the middle of its switches; a NIC above its switch, beside
/// the socket if that is in the way, or over its socket. No two NICs overlap.
struct NodeColumns {
  std::vector<double> gpu, nic;
  std::vector<Span> pcie_switch;
  std::map<int, double> cpu;  ///< by socket
  Span all;                   ///< from the leftmost part to the rightmost
};

/// `least_width`: of `all`. The spec is valid. Pure.
NodeColumns node_columns(const NodeSpec& node, double least_width);

}  // namespace lockstep::check
