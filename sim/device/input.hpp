// Loading: storage, decoding, augmentation.
#pragma once

#include "core/spec/run_spec.hpp"

namespace lockstep::sim {

struct InputRate {
  Time per_step;                ///< to prepare one rank's images of a step, pipelined ahead of it; zero = not limiting
  const char* bottleneck = "";  ///< "storage", "decoding" or ""
};

/// The slower of reading and decoding, for `images` per rank on a node that feeds `gpus` ranks.
InputRate input_rate(const DataSpec& data, std::int64_t images, int gpus);

}  // namespace lockstep::sim
