// One small network with random weights and images, on processors and in the oracle.
#pragma once

#include <algorithm>
#include <cmath>
#include <functional>
#include <memory>
#include <string>

#include <fmt/format.h>

#include "core/base/rng.hpp"
#include "real/cpu/network.hpp"
#include "tests/real/cpu/oracle.hpp"

namespace lockstep::test {

/// A small network with random weights and images, in both worlds.
struct Pair {
  Pair(const ModelGraph& g, std::int64_t images, NetworkOptions options = {})
      : graph(std::make_shared<const ModelGraph>(g)),
        oracle{*graph, images, options.label_smoothing, options.norm_epsilon, {}, {}, {}, {}, {}},
        weights(*graph),
        gradients(*graph),
        statistics(*graph),
        network(graph, images, options, statistics) {
    Rng rng(7, graph->name);
    for (const ParamTensor& t : graph->tensors) {
      // Outputs of about the size of the inputs: with large logits every gradient would vanish.
      const double fan_in = static_cast<double>(t.elements()) / static_cast<double>(t.dims[0]);
      const double mean = t.role == TensorRole::Gamma ? 1 : 0;
      for (float& v : weights[t.id]) v = static_cast<float>(mean + rng.normal() / (2 * std::sqrt(fan_in)));
      oracle.tensors.emplace_back(weights[t.id].begin(), weights[t.id].end());
    }
    for (float& v : network.input()) v = static_cast<float>(rng.normal());
    oracle.input.assign(network.input().begin(), network.input().end());
    for (auto& label : network.labels())
      label = static_cast<std::int32_t>(rng.below(static_cast<std::uint64_t>(graph->classes)));
    take_labels();
    network.load_weights(weights);
  }
  void take_labels() { oracle.labels.assign(network.labels().begin(), network.labels().end()); }
  BatchResult forward() {
    network.begin(0);
    for (const Layer& l : graph->layers) network.forward(l.id);
    return network.result();
  }
  void backward(bool add = false) {
    for (auto l = graph->layers.rbegin(); l != graph->layers.rend(); ++l) network.backward(l->id, gradients, add);
  }

  std::shared_ptr<const ModelGraph> graph;
  Oracle oracle;
  TensorSet weights, gradients;
  NormStatistics statistics;
  Network network;
};

// A sum of n products rounds to within n 2^-24 of the sum of their magnitudes; the nets below have sums of at most some 500 terms,
// each followed by four or five more: 500 x 5 x 6e-8 = 1.5e-4 at worst, of the largest gradient of the tensor (or 1e-6 of the largest of
// all, where a tensor's gradient vanishes, as before a batch norm). The differences add 1e-9. A wrong formula errs by far more.
/// What differs, or nothing.
inline std::string difference(Pair& p, std::size_t samples_per_tensor = 6) {
  const BatchResult got = p.forward();
  p.backward();
  const Oracle::Result want = p.oracle.forward();
  if (std::abs(got.loss - want.loss) > 1.5e-4 * std::max(1.0, want.loss))
    return fmt::format("loss {} instead of {}", got.loss, want.loss);
  if (got.correct != want.correct) return fmt::format("{} right instead of {}", got.correct, want.correct);
  const auto size = [](std::span<const float> values) {
    double out = 0;
    for (const float v : values) out = std::max(out, std::abs(static_cast<double>(v)));
    return out;
  };
  const double largest = size(p.gradients.all());
  if (largest < 1e-3) return "gradients too small to tell anything";
  for (const ParamTensor& t : p.graph->tensors) {
    const std::span<const float> values = p.gradients[t.id];
    const std::size_t stride = std::max<std::size_t>(1, values.size() / samples_per_tensor);
    const double tolerance = 1.5e-4 * size(values) + 1e-6 * largest + 1e-9;
    for (std::size_t i = 0; i < values.size(); i += stride) {
      const double truth = p.oracle.gradient(t.id, i);
      if (!(std::abs(values[i] - truth) <= tolerance))
        return fmt::format("{}[{}]: {} instead of {} (tolerance {})", t.name, i, values[i], truth, tolerance);
    }
  }
  return "";
}

using Body = std::function<LayerId(GraphBuilder&, LayerId)>;

/// convolution - `body` - linear - loss: the first convolution's gradient passes through the body's data gradient.
inline ModelGraph net(const std::string& name, const Body& body, int channels = 5, int size = 6) {
  GraphBuilder b(name, {3, size, size});
  const LayerId first = b.conv("first", b.input(), channels, 3, 1, 1);
  const LayerId logits = b.linear("last", body(b, first), 4);
  return std::move(b).finish(logits);
}

/// A convolution and a norm beside a shortcut, added, ReLU.
inline ModelGraph residual(const std::string& name, bool norm_on_shortcut, int size = 6) {
  return net(
      name,
      [&](GraphBuilder& b, LayerId x) {
        const LayerId branch = b.batch_norm("n", b.conv("c", x, 5, 3, 1, 1));
        return b.relu("r", b.add("a", branch, norm_on_shortcut ? b.batch_norm("m", b.conv("s", x, 5, 1, 1, 0)) : x));
      },
      5, size);
}

}  // namespace lockstep::test
