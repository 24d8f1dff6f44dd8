// Which messages between nodes are copied through host memory.
#pragma once

#include "core/spec/cluster_spec.hpp"
#include "core/spec/library_spec.hpp"
#include "core/spec/run_spec.hpp"

namespace lockstep::sim {

/// All, or those whose way between GPU and adapter crosses a host bridge, unless the adapters reach the GPUs across it.
struct Staging {
  bool always = false;     ///< the library works in host memory
  bool gpudirect = false;  ///< adapters read and write GPU memory

  bool holds(bool crosses_host) const { return always || (crosses_host && !gpudirect); }
};

inline Staging staging_of(const LibrarySpec& library, const AllreduceSpec& allreduce) {
  return {library.host_memory, allreduce.gpudirect};
}

/// Whether messages between such nodes, of which `used` GPUs take part, are copied through host memory.
inline bool stages(const NodeSpec& node, int used, const Staging& staging) {
  return staging.holds(!node.pcie.switches.empty() && !node.nics_beside(used));
}

}  // namespace lockstep::sim
