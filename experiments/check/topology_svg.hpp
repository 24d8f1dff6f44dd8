// A cluster as a drawing: one node from inside, and the network above it.
#pragma once

#include <string>

#include "core/spec/cluster_spec.hpp"

namespace lockstep::check {

/// SVG 1.1 text of a valid cluster, top to bottom: tiers of switches (a few of each drawn, counts and taper written), NICs, sockets, PCIe
/// switches, GPUs, NVLinks (arcs; a thicker one has more links) or NVSwitch. Rates are those of the file, per direction. Width follows the GPUs
/// of a node. Pure; equal clusters give equal text.
std::string topology_svg(const ClusterSpec& cluster);

}  // namespace lockstep::check
