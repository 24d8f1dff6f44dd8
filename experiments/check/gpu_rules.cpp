// What makes a GPU file implausible although it is well formed.
#include <fmt/format.h>

#include <stdexcept>

#include "core/base/units_text.hpp"
#include "core/model/layer_cost.hpp"
#include "core/model/zoo.hpp"
#include "experiments/check/limits.hpp"
#include "experiments/check/rule.hpp"
#include "experiments/check/step_memory.hpp"

namespace lockstep::check {

namespace {

using Doubts = std::vector<Doubt>;

/// Calls `look` with every anchor whose model exists; the reader does not check that name.
template <class Look>
Doubts each_anchor(const GpuSpec& gpu, Look&& look) {
  Doubts out;
  for (std::size_t i = 0; i < gpu.anchors.size(); ++i) {
    const Anchor& a = gpu.anchors[i];
    try {
      look(out, fmt::format("anchor[{}]", i), a, build_model(a.model));
    } catch (const std::invalid_argument&) {
      continue;  // anchor_model says so
    }
  }
  return out;
}

Doubts memory_rates(const GpuSpec& gpu) {
  if (gpu.memory_achieved.high > gpu.memory_peak.value) {
    return {{"memory_achieved", fmt::format("{} is above memory_peak, {}", to_text(gpu.memory_achieved.high),
                                            to_text(gpu.memory_peak.value))}};
  }
  constexpr double kLeast = 0.5;  // measured copies: 68 % (P100) to 95 % (V100)
  const double share = gpu.memory_achieved.value / gpu.memory_peak.value;
  if (share >= kLeast) return {};
  return {{"memory_achieved",
           fmt::format("{} is {:.0f} % of memory_peak; copies reach 68 to 95 %, reads and writes both counted",
                       to_text(gpu.memory_achieved.value), share * 100)}};
}

Doubts memory_size(const GpuSpec& gpu) {
  const Bytes size = gpu.memory.value;
  if (size >= Bytes::gib(1) && size <= Bytes::gib(1024)) return {};
  return {{"memory", fmt::format("{} is outside 1 GiB to 1 TiB", to_text(size))}};
}

Doubts peaks(const GpuSpec& gpu) {
  Doubts out;
  const double fp32 = gpu.fp32_peak.value.teraflops();
  if (fp32 < 0.05 || fp32 > 1000)
    return {{"fp32_peak", fmt::format("{} is outside 0.05 to 1,000 TFLOP/s", to_text(gpu.fp32_peak.value))}};
  if (gpu.half_peak.value < gpu.fp32_peak.value)
    out.push_back(
        {"half_peak", fmt::format("{} is below fp32_peak, {}; half-precision numbers can always be computed as fp32",
                                  to_text(gpu.half_peak.value), to_text(gpu.fp32_peak.value))});
  const int cc = gpu.compute_capability;
  const double times = gpu.half_peak.value.teraflops() / fp32;
  if (cc >= 70 && times > most_half_over_fp32(cc))
    out.push_back(
        {"half_peak", fmt::format("{} is {:.0f} times fp32_peak, which no GPU of compute capability {} reaches "
                                  "on dense numbers; datasheets print twice the rate, for sparse ones",
                                  to_text(gpu.half_peak.value), times, cc)});
  return out;
}

Doubts launch(const GpuSpec& gpu) {
  Doubts out;
  const auto check = [&](const char* key, Time t) {
    if (t < Time::nanoseconds(100) || t > Time::milliseconds(1))
      out.push_back({key, fmt::format("{} is outside 100 ns to 1 ms; usual are 2.5 to 20 us", to_text(t))});
  };
  check("kernel_gap", gpu.kernel_gap.value);
  check("dispatch", gpu.dispatch.value);
  return out;
}

Doubts noise(const GpuSpec& gpu) {
  constexpr double kMost = 0.1;  // training logs: 0.002 to 0.006 within a run; equal GPUs differ by 8 % on average
  Doubts out;
  if (gpu.step_jitter.value > kMost)
    out.push_back(
        {"step_jitter", fmt::format("a sigma of {} of the step; logs show 0.002 to 0.006", gpu.step_jitter.value)});
  if (gpu.gpu_spread.value > kMost)
    out.push_back({"gpu_spread",
                   fmt::format("a sigma of {} between equal GPUs; surveys show about 0.015", gpu.gpu_spread.value)});
  return out;
}

Doubts anchor_model(const GpuSpec& gpu) {
  Doubts out;
  for (std::size_t i = 0; i < gpu.anchors.size(); ++i) {
    try {
      build_model(gpu.anchors[i].model);
    } catch (const std::invalid_argument& e) {
      out.push_back({fmt::format("anchor[{}].model", i), e.what()});
    }
  }
  return out;
}

Doubts anchor_flops(const GpuSpec& gpu) {
  return each_anchor(gpu, [&](Doubts& out, const std::string& key, const Anchor& a, const ModelGraph& graph) {
    const FlopRate rate = FlopRate::per_second(training_flops(graph).count() * a.images_per_second.value);
    const FlopRate peak = peak_of(gpu, a.precision);
    if (rate <= peak) return;
    out.push_back({key + ".images_per_second",
                   fmt::format("{:g} images/s of {} are {}, {:.0f} % of the peak of {}; a throughput of several GPUs?",
                               a.images_per_second.value, a.model, to_text(rate), rate / peak * 100, to_text(peak))});
  });
}

Doubts anchor_traffic(const GpuSpec& gpu) {
  return each_anchor(gpu, [&](Doubts& out, const std::string& key, const Anchor& a, const ModelGraph& graph) {
    const auto bytes = static_cast<double>(least_traffic(graph, a.precision).count());
    const Bandwidth rate = Bandwidth::bytes_per_second(bytes * a.images_per_second.value);
    if (rate <= gpu.memory_peak.value) return;
    out.push_back(
        {key + ".images_per_second",
         fmt::format("{:g} images/s of {} move at least {}, {:.0f} % of memory_peak; a throughput of several GPUs?",
                     a.images_per_second.value, a.model, to_text(rate), rate / gpu.memory_peak.value * 100)});
  });
}

Doubts anchor_memory(const GpuSpec& gpu) {
  return each_anchor(gpu, [&](Doubts& out, const std::string& key, const Anchor& a, const ModelGraph& graph) {
    const Bytes need = least_memory(graph, a.precision, a.batch);
    if (need <= gpu.memory.value) return;
    out.push_back({key + ".batch", fmt::format("{} images of {} need at least {}; the GPU has {}", a.batch, a.model,
                                               to_text(need), to_text(gpu.memory.value))});
  });
}

constexpr Rule<GpuSpec> kRules[] = {
    {"memory_rates", "memory_achieved of 50 to 100 % of memory_peak", memory_rates},
    {"memory_size", "a memory of 1 GiB to 1 TiB", memory_size},
    {"peaks", "a half_peak of at least fp32_peak", peaks},
    {"launch", "kernel_gap and dispatch of 100 ns to 1 ms", launch},
    {"noise", "sigmas of at most 0.1", noise},
    {"anchor_model", "anchors of models that there are", anchor_model},
    {"anchor_flops", "anchors of at most 100 % of the peak FLOPs", anchor_flops},
    {"anchor_traffic", "anchors of at most 100 % of the memory's peak rate", anchor_traffic},
    {"anchor_memory", "anchors whose batch fits the memory", anchor_memory},
};

}  // namespace

std::span<const Rule<GpuSpec>> gpu_rules() { return kRules; }

}  // namespace lockstep::check
