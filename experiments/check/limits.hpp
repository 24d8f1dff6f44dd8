// What hardware can do at most, by generation: the figures that plausibility rules compare with.
#pragma once

#include <optional>
#include <string>

#include "core/base/units.hpp"

namespace lockstep::check {

/// NVLink of one GPU generation: datasheet rate of a link, per direction, and links per GPU.
struct NvlinkGeneration {
  std::string name;  ///< "NVLink2"
  Bandwidth per_link;
  int links = 0;
};
/// Of the GPUs of a CUDA compute capability (70 = Volta); nothing where no GPU of it has NVLink or none is known.
/// Source: stas00/ml-engineering@744d01e network/README.md (read) up to NVLink4; NVLink5 recalled (memory). 8.6: the bridge
/// of A40, A6000 and RTX 3090, 112.5 GB/s both ways (their datasheets, memory); A10 and A16, of 8.6 too, have none.
std::optional<NvlinkGeneration> nvlink_of(int compute_capability);

/// One PCIe x16 slot, per direction, of the generation that the first servers with these GPUs had. A generation adds, it never takes away.
struct PcieGeneration {
  int generation = 3;
  Bandwidth x16;  ///< after line coding, before packet headers
};
/// 16 lanes x 8, 16 or 32 GT/s x 128/130 / 8 bits (memory). Compute capability 80 and 86 to 89: gen4; from 90: gen5; processors (0): gen5.
PcieGeneration pcie_of(int compute_capability);

/// Most that the dense half-precision peak of a GPU with tensor cores (compute capability >= 70) is of its fp32 peak, with room for others of a generation: V100 8 times,
/// A100 16, H100 15, 8.6 and 8.9 4, B200 28 (their datasheets, memory). Sparse peaks, which datasheets print too, are twice that.
double most_half_over_fp32(int compute_capability);

/// Port rate of the fastest network in production: 800 Gbit/s, per direction (memory).
Bandwidth fastest_port();

/// A wire, a switch or an adapter takes at least as long as light through 2 m of cable (10 ns), and at most 1 ms.
struct LatencyWindow {
  Time least, most;
};
LatencyWindow latency_window();

}  // namespace lockstep::check
