// A GPU that a run changes by [gpu_file].
#pragma once

#include "core/spec/gpu_spec.hpp"

namespace lockstep {

/// `changed` with the throughputs that its anchors would then have. An anchor was published for the GPU as it is; what it
/// says about the software, the factor between it and the bare model, is kept, and applied to the bare model of the
/// changed GPU. Otherwise faster memory would only make everything else look slower. Anchors that the run itself changes,
/// or adds, stay as it gives them. Pure; cost: two evaluations of a network per anchor.
GpuSpec with_moved_anchors(const GpuSpec& original, GpuSpec changed);

}  // namespace lockstep
