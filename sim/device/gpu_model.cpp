#include "sim/device/gpu_model.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <stdexcept>

#include "core/base/error.hpp"
#include "core/model/zoo.hpp"
#include "core/spec/releases.hpp"

namespace lockstep::sim {

namespace {

ModelGraph anchor_model(const GpuSpec& gpu, const Anchor& anchor) {
  try {
    return build_model(anchor.model);
  } catch (const std::invalid_argument& e) {
    throw ConfigError("GPU file " + gpu.name, "anchor.model", e.what());
  }
}

}  // namespace

GpuModel::GpuModel(const GpuSpec& gpu, Precision precision, const std::string& framework, bool small_batch)
    : gpu_(gpu),
      precision_(precision),
      waves_(small_batch && gpu.multiprocessors.value > 0),
      convolutions_(gpu, precision, small_batch),
      profile_(gpu.profile, precision) {
  if (const std::string wrong = unknown_anchor(gpu_, precision, framework); !wrong.empty())
    throw ConfigError("", "cluster.framework", wrong);
  anchor_ = find_anchor(gpu_, precision, framework);
  exact_ = anchor_ >= 0;
  if (exact_ && !framework.empty() && gpu_.anchors[static_cast<std::size_t>(anchor_)].framework != framework)
    stands_for_ = framework;
  if (!exact_) anchor_ = nearest_anchor(gpu_, precision);
  if (anchor_ < 0) return;
  const Anchor& a = gpu_.anchors[static_cast<std::size_t>(anchor_)];
  const ModelGraph graph = fuse(anchor_model(gpu_, a));
  const GpuModel bare = [&] {
    GpuSpec without = gpu_;
    without.anchors.clear();
    return GpuModel(without, a.precision, "", small_batch);
  }();
  factor_ = bare.images_per_second(graph, a.batch) / a.images_per_second.value;
}

Time GpuModel::raw_kernel(Time work, int kernels) const {
  return std::max({work, gpu_.kernel_gap.value * kernels, gpu_.dispatch.value * kernels});
}

std::vector<LayerTime> GpuModel::raw_layer_times(const ModelGraph& fused, std::int64_t batch) const {
  LOCKSTEP_EXPECTS(batch >= 1);
  const int bytes = element_bytes(precision_);
  const auto memory_bound = [&](const PassCost& c) {
    const Time work = std::max(c.bytes / gpu_.memory_achieved.value, c.flops / gpu_.fp32_peak.value);
    // A kernel starts when the one before has drained: the gap adds to the work, which is what small kernels are made of.
    return raw_kernel(waves_ ? work + gpu_.kernel_gap.value * c.kernels : work, c.kernels);
  };
  std::vector<LayerTime> times;
  for (const Layer& layer : fused.layers) {
    const LayerCost cost = layer_cost(fused, layer, batch, bytes);
    LayerTime t;
    if (layer.kind == LayerKind::Conv) {
      const auto pass = [&](ConvPass p, const PassCost& c) {
        return c.kernels == 0 ? Time::zero() : raw_kernel(convolutions_.time(layer, p, batch, c), c.kernels);
      };
      t.forward = pass(ConvPass::Forward, cost.forward);
      t.backward =
          pass(ConvPass::BackwardData, cost.backward_data) + pass(ConvPass::BackwardWeight, cost.backward_weight);
    } else if (layer.kind == LayerKind::Linear) {
      // A matrix product runs as a 1x1 convolution of one pixel does: at the fitted efficiency, or bound by its weights.
      const FlopRate peak = peak_of(gpu_, precision_);
      const auto pass = [&](ConvPass p, const PassCost& c) {
        if (c.kernels == 0) return Time::zero();
        return raw_kernel(
            std::max(c.flops / (peak * convolutions_.fit(p, 1).efficiency), c.bytes / gpu_.memory_achieved.value),
            c.kernels);
      };
      t.forward = pass(ConvPass::Forward, cost.forward);
      t.backward =
          pass(ConvPass::BackwardData, cost.backward_data) + pass(ConvPass::BackwardWeight, cost.backward_weight);
    } else if (layer.kind != LayerKind::Input) {
      t.forward = memory_bound(cost.forward);
      t.backward = memory_bound(cost.backward_data);
    }
    times.push_back(t);
  }
  return times;
}

std::vector<LayerTime> GpuModel::layer_times(const ModelGraph& fused, std::int64_t batch) const {
  std::vector<LayerTime> times = raw_layer_times(fused, batch);
  if (profile_.covers(fused)) {
    for (const Layer& layer : fused.layers) {
      if (layer.kind == LayerKind::Input) continue;
      const auto measured = profile_.time(fused, layer.name, batch);
      times[layer.id.index()].forward = measured->forward;
      times[layer.id.index()].backward = measured->backward;
    }
    return times;
  }
  for (LayerTime& t : times) {
    t.forward = t.forward * factor_;
    t.backward = t.backward * factor_;
  }
  return times;
}

Time GpuModel::inference_time(const ModelGraph& fused, std::int64_t batch) const {
  if (const auto measured = profile_.time(fused, "inference", batch)) return measured->forward;
  Time total;
  for (const LayerTime& t : layer_times(fused, batch)) total += t.forward;
  return total;
}

Time GpuModel::raw_update_time(std::int64_t elements, int tensors, OptimizerKind kind, NormKernels norms) const {
  // Reads master weight, gradient and velocity; writes master weight, velocity and, in half precision, the working copy.
  const int gradient = element_bytes(precision_);
  std::int64_t per_element = 4 + gradient + 4 + 4 + 4 + (is_half(precision_) ? 2 : 0);
  int kernels = tensors;
  if (kind == OptimizerKind::Lars) {
    per_element += 4 + gradient;                                // norms of weights and gradients
    kernels = norms == NormKernels::Batched ? 3 : 3 * tensors;  // two norms and the update
  }
  return raw_kernel(Bytes(elements * per_element) / gpu_.memory_achieved.value, kernels);
}

Time GpuModel::update_time(const ModelGraph& fused, std::int64_t elements, int tensors, OptimizerKind kind,
                           NormKernels norms) const {
  const char* operation = kind == OptimizerKind::Lars       ? "update lars"
                          : kind == OptimizerKind::Nesterov ? "update nesterov"
                                                            : "update sgd";
  if (const auto whole = profile_.time(fused, operation, 1))
    return whole->forward * (static_cast<double>(elements) / static_cast<double>(fused.parameters()));
  return update_time(elements, tensors, kind, norms);
}

Time GpuModel::update_time(std::int64_t elements, int tensors, OptimizerKind kind, NormKernels norms) const {
  return raw_update_time(elements, tensors, kind, norms) * factor_;
}

Time GpuModel::pack_time(Bytes size, int tensors) const {
  return raw_kernel(size * 2 / gpu_.memory_achieved.value, tensors > 0 ? 1 : 0);
}

double GpuModel::images_per_second(const ModelGraph& fused, std::int64_t batch) const {
  Time step;
  for (const LayerTime& t : raw_layer_times(fused, batch)) step += t.forward + t.backward;
  step += raw_update_time(fused.parameters(), static_cast<int>(fused.tensors.size()), OptimizerKind::Sgd,
                          NormKernels::Batched);
  return static_cast<double>(batch) / (step.seconds() * factor_);
}

double GpuModel::anchor_factor() const { return factor_; }
bool GpuModel::anchored() const { return exact_; }
const Anchor* GpuModel::anchor() const {
  return anchor_ < 0 ? nullptr : &gpu_.anchors[static_cast<std::size_t>(anchor_)];
}

std::string GpuModel::description() const {
  if (anchor_ < 0) {
    const int named = anchor_in_nchw(gpu_, precision_);
    return named < 0 ? "no anchor: bare model, band 25 %"
                     : fmt::format("no anchor: bare model, band 25 % (one in NCHW: cluster.framework = \"{}\")",
                                   gpu_.anchors[static_cast<std::size_t>(named)].framework);
  }
  const Anchor& a = gpu_.anchors[static_cast<std::size_t>(anchor_)];
  return fmt::format("{} {}{} at {:g} images/s, batch {} (bare model x {:.3f}{})",
                     exact_ ? "anchored on" : "unanchored at this precision, factor of", a.framework,
                     stands_for_.empty() ? "" : ", the release nearest to " + stands_for_, a.images_per_second.value,
                     a.batch, factor_, exact_ ? "" : ", band 25 %");
}

}  // namespace lockstep::sim
