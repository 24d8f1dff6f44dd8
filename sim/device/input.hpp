// Loading: storage, decoding, augmentation.
#pragma once

#include <algorithm>

#include "core/spec/run_spec.hpp"

namespace lockstep::sim {

/// To prepare a step's images of every rank of a node, pipelined ahead of the step. Zero: not limiting.
struct InputTime {
  Time reading, decoding;
  Time longer() const { return std::max(reading, decoding); }
};

/// Of a node that feeds `gpus` ranks with `images` each.
InputTime input_time(const DataSpec& data, std::int64_t images, int gpus);

}  // namespace lockstep::sim
