// Loading: storage, decoding, augmentation.
#pragma once

#include "core/spec/run_spec.hpp"

namespace lockstep::sim {

/// To prepare a step's images of every rank of a node that feeds `gpus` ranks with `images` each, pipelined ahead of the step: the longer of reading and
/// decoding; zero = not limiting.
Time input_time(const DataSpec& data, std::int64_t images, int gpus);

}  // namespace lockstep::sim
