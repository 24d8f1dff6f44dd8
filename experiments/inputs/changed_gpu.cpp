#include "experiments/inputs/changed_gpu.hpp"

#include <tuple>

#include "core/model/zoo.hpp"
#include "sim/device/gpu_model.hpp"

namespace lockstep {

namespace {

bool same(const Anchor& a, const Anchor& b) {
  return std::tie(a.framework, a.model, a.precision, a.batch, a.images_per_second.value, a.channels_first) ==
         std::tie(b.framework, b.model, b.precision, b.batch, b.images_per_second.value, b.channels_first);
}

double bare_rate(GpuSpec gpu, const Anchor& anchor) {
  gpu.anchors.clear();
  return sim::GpuModel(gpu, anchor.precision, anchor.framework)
      .images_per_second(fuse(build_model(anchor.model)), anchor.batch);
}

}  // namespace

GpuSpec with_moved_anchors(const GpuSpec& original, GpuSpec changed) {
  std::vector<Anchor> anchors = changed.anchors;
  for (std::size_t i = 0; i < anchors.size() && i < original.anchors.size(); ++i) {
    Anchor& anchor = anchors[i];
    if (!same(anchor, original.anchors[i])) continue;
    const double faster = bare_rate(changed, anchor) / bare_rate(original, anchor);
    Sourced<double>& rate = anchor.images_per_second;
    rate.value *= faster;
    rate.low *= faster;
    rate.high *= faster;
  }
  changed.anchors = std::move(anchors);
  return changed;
}

}  // namespace lockstep
