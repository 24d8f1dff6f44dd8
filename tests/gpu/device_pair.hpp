// One small network with random weights and images, on the device and in the oracle.
#pragma once

#include <algorithm>
#include <cmath>
#include <memory>
#include <string>
#include <vector>

#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <fmt/format.h>

#include "core/base/rng.hpp"
#include "real/cuda/base/stream.hpp"
#include "real/cuda/kernels/images.hpp"
#include "real/cuda/network/descriptors.hpp"
#include "real/cuda/network/network.hpp"
#include "tests/real/cpu/oracle.hpp"

namespace lockstep::test {

/// The nearest value of the element's type.
inline float rounded(cuda::Element element, double value) {
  const auto v = static_cast<float>(value);
  switch (element) {
    case cuda::Element::F16: return __half2float(__float2half_rn(v));
    case cuda::Element::Bf16: return __bfloat162float(__float2bfloat16_rn(v));
    case cuda::Element::F32: break;
  }
  return v;
}

/// Half the distance between neighbouring values, relative: what one rounding errs by. Tensor cores round fp32 to 10
/// bits of mantissa for TF32.
inline double unit_of(Precision precision) {
  switch (precision) {
    case Precision::Fp32: return std::ldexp(1.0, -24);
    case Precision::Tf32:
    case Precision::Fp16: return std::ldexp(1.0, -11);
    case Precision::Bf16: break;
  }
  return std::ldexp(1.0, -8);
}

/// The same weights and images in both worlds; what the device multiplies is rounded to its type for the oracle too.
struct DevicePair {
  DevicePair(const ModelGraph& g, std::int64_t images, cuda::NetworkOptions o = {})
      : graph(std::make_shared<const ModelGraph>(g)),
        options(o),
        element(cuda::storage_of(o.precision)),
        oracle{*graph, images, o.label_smoothing, o.norm_epsilon, {}, {}, {}, {}, {}},
        layout(std::make_shared<const cuda::TensorLayout>(
            *graph, o.input_channels_padded > 0 ? o.input_channels_padded
                                                : cuda::padded_input_channels(*graph, element != cuda::Element::F32))),
        handles(stream),
        weights(layout, element),
        gradients(layout),
        statistics(*graph),
        network(graph, images, options, handles, weights, statistics) {
    Rng rng(7, graph->name);
    for (const ParamTensor& t : graph->tensors) {
      // Outputs of about the size of the inputs: with large logits every gradient would vanish.
      const double fan_in = static_cast<double>(t.elements()) / static_cast<double>(t.dims[0]);
      const double mean = t.role == TensorRole::Gamma ? 1 : 0;
      std::vector<float> values(static_cast<std::size_t>(t.elements()));
      for (float& v : values) {
        v = static_cast<float>(mean + rng.normal() / (2 * std::sqrt(fan_in)));
        if (t.role == TensorRole::Weight) v = rounded(element, v);
      }
      host.push_back(values);
    }
    load_weights();
    oracle.input.resize(static_cast<std::size_t>(images * graph->input().elements()));
    for (double& v : oracle.input) v = rounded(element, rng.normal());
    load_input();
    for (std::int64_t i = 0; i < images; ++i)
      oracle.labels.push_back(static_cast<std::int64_t>(rng.below(static_cast<std::uint64_t>(graph->classes))));
    load_labels();
  }

  void load_weights() {
    weights.master().upload([&](TensorId id) { return std::span<const float>(host[id.index()]); }, stream);
    weights.refresh_low(stream);
    oracle.tensors.clear();
    for (const auto& values : host) oracle.tensors.emplace_back(values.begin(), values.end());
  }
  void load_input() {
    const std::vector<float> values(oracle.input.begin(), oracle.input.end());
    const cuda::DeviceArray<float> plain(values.size());
    cuda::copy_to_device(std::span<const float>(values), plain.data(), stream);
    const Shape s = graph->input();
    std::vector<PackedImage> images;
    for (std::int64_t i = 0; i < network.images(); ++i) {
      PackedImage& image = images.emplace_back();
      image.kind = PackedImage::Prepared;
      image.size = s.elements() * static_cast<std::int64_t>(sizeof(float));
      image.at = i * image.size;
    }
    const cuda::DeviceArray<PackedImage> table(images.size());
    cuda::copy_to_device(std::span<const PackedImage>(images), table.data(), stream);
    cuda::prepare_images(element, {static_cast<int>(network.images()), s.h, s.w, s.c, network.input_channels()},
                         reinterpret_cast<const unsigned char*>(plain.data()), table.data(), {}, {}, network.input(),
                         stream);
    stream.synchronise();
  }
  void load_labels() {
    const std::vector<int> values(oracle.labels.begin(), oracle.labels.end());
    cuda::copy_to_device(std::span<const int>(values), network.labels(), stream);
    stream.synchronise();
  }
  void enqueue_forward() {
    network.clear_sums();
    for (const Layer& l : graph->layers) network.forward(l.id);
  }
  cuda::LossSums forward(std::int64_t position = 0) {
    network.begin(position);
    enqueue_forward();
    return network.read_sums();
  }
  void backward(bool add = false) {
    for (auto l = graph->layers.rbegin(); l != graph->layers.rend(); ++l) network.backward(l->id, gradients, add);
  }
  /// By tensor, row by row.
  std::vector<std::vector<float>> read_gradients() const {
    std::vector<std::vector<float>> out = host;
    gradients.download([&](TensorId id) { return std::span<float>(out[id.index()]); }, stream);
    return out;
  }
  std::vector<std::vector<float>> step() {
    forward();
    backward();
    return read_gradients();
  }

  std::shared_ptr<const ModelGraph> graph;
  cuda::NetworkOptions options;
  cuda::Element element;
  Oracle oracle;
  std::vector<std::vector<float>> host;  ///< weights, by tensor, row by row
  std::shared_ptr<const cuda::TensorLayout> layout;
  cuda::Stream stream;
  cuda::Handles handles;
  cuda::DeviceWeights weights;
  cuda::DeviceTensorSet gradients;
  cuda::NormStatisticsDevice statistics;
  cuda::Network network;
};

// Fp32: as tests/real/cpu/pair.hpp derives it: 500 products x 5 layers x 2^-24 = 1.5e-4 of the largest gradient of the
// tensor. Other types: an activation, a gradient of one and a gradient of weights are rounded once each, some ten times
// on the way of any gradient through the nets here; sums of n terms that err by u each at random err by sqrt(n) u, as
// they grow by sqrt(n). So 10 u of the tensor's length (Euclidean), three times that for luck; and a value within
// rounding of zero may fall on the other side of a ReLU or lose the maximum of its window, which changes one of the
// some 360 terms of a sum: sqrt(1 / 360) = 5 % for bf16, where one flip is likely, and as rarely as u is smaller for
// the others: 0.05 x 2^8 u.
/// Relative error of a tensor's gradient that rounding explains, by Euclidean length; of the largest value for Fp32.
inline double gradient_tolerance(Precision precision) {
  return precision == Precision::Fp32 ? 1.5e-4 : (30 + 0.05 * 256) * unit_of(precision);
}
inline double loss_tolerance(Precision precision) {
  return precision == Precision::Fp32 ? 1.5e-4 : 10 * unit_of(precision);
}

/// What differs, or nothing.
inline std::string difference(DevicePair& p, std::size_t samples_per_tensor = 6) {
  const cuda::LossSums got = p.forward();
  p.backward();
  const auto gradients = p.read_gradients();
  const Oracle::Result want = p.oracle.forward();
  const Precision precision = p.options.precision;
  const bool exact = precision == Precision::Fp32;
  const double per_image = std::max(1.0, static_cast<double>(got.counted));
  if (!(std::abs(got.loss - want.loss) <= loss_tolerance(precision) * std::max(per_image, want.loss)))
    return fmt::format("loss {} instead of {}", got.loss, want.loss);
  if (exact && got.correct != want.correct) return fmt::format("{} right instead of {}", got.correct, want.correct);
  double largest = 0;
  for (const auto& values : gradients) {
    for (const float v : values) largest = std::max(largest, std::abs(static_cast<double>(v)));
  }
  if (!(largest >= 1e-3)) return "gradients too small to tell anything";
  for (const ParamTensor& t : p.graph->tensors) {
    const std::vector<float>& values = gradients[t.id.index()];
    const std::size_t stride = std::max<std::size_t>(1, values.size() / samples_per_tensor);
    double error = 0, length = 0, widest = 0;
    std::size_t sampled = 0;
    for (const float v : values) widest = std::max(widest, std::abs(static_cast<double>(v)));
    for (std::size_t i = 0; i < values.size(); i += stride, ++sampled) {
      const double truth = p.oracle.gradient(t.id, i), e = values[i] - truth;
      error += e * e;
      length += truth * truth;
      // Where a tensor's gradient vanishes (before a batch norm) what is left is rounding of what cancels.
      const double tolerance =
          gradient_tolerance(precision) * widest + (exact ? 1e-6 : 4 * unit_of(precision)) * largest + 1e-9;
      if ((exact && !(std::abs(e) <= tolerance)) || !std::isfinite(values[i]))
        return fmt::format("{}[{}]: {} instead of {} (tolerance {})", t.name, i, values[i], truth, tolerance);
    }
    const double floor = 4 * unit_of(precision) * largest * std::sqrt(static_cast<double>(sampled));
    if (!exact && !(std::sqrt(error) <= gradient_tolerance(precision) * std::sqrt(length) + floor))
      return fmt::format("{}: off by {} of {}", t.name, std::sqrt(error), std::sqrt(length));
  }
  return "";
}

}  // namespace lockstep::test
