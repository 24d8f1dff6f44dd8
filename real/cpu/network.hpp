// A network on this machine's processors: forward and backward of one micro-batch, layer by layer, on oneDNN.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "core/model/graph.hpp"
#include "core/spec/run_spec.hpp"
#include "real/tensors/norm_statistics.hpp"
#include "real/tensors/tensor_set.hpp"
#include "real/world/device.hpp"

namespace lockstep {

enum class NetworkMode { Training, Evaluation };

struct NetworkOptions {
  NetworkMode mode = NetworkMode::Training;
  /// Bf16: activations and their gradients, and the copies of weights that are multiplied.
  Precision precision = Precision::Fp32;
  int threads = 1;
  bool deterministic = true;  ///< direct convolutions only: no choice that depends on the batch
  double label_smoothing = 0;
  double norm_momentum = 0.9;  ///< average = momentum x average + (1 - momentum) x batch
  double norm_epsilon = 1e-5;
  std::uint64_t seed = 42;  ///< of dropout
};

/// All memory is allocated by the constructor. Equal inputs and threads give equal bits. Throws BackendError when oneDNN fails; ConfigError
/// (key "training.precision") for a precision that this backend lacks.
class Network {
 public:
  /// `statistics`: read in evaluation; in training updated by every forward pass (with the unbiased variance, as PyTorch does). `images` >= 1.
  Network(std::shared_ptr<const ModelGraph> graph, std::int64_t images, const NetworkOptions& options,
          NormStatistics& statistics);
  ~Network();

  std::int64_t images() const;
  /// [images, C, H, W], filled by the caller before begin().
  std::span<float> input();
  /// -1: this image has no loss, no gradient, and is not counted.
  std::span<std::int32_t> labels();
  /// After every update: copies the weights into the layouts and the precision that the layers compute with.
  void load_weights(const TensorSet& weights);
  /// Takes the input. `position`: of the first image among all images of the run so far; dropout is a function of (seed, layer, position + i).
  void begin(std::int64_t position);
  /// Layers in graph order; Input does nothing.
  void forward(LayerId layer);
  /// Layers in reverse order. The gradients of the layer's tensors, summed over the images, are written to `gradients`, or added.
  void backward(LayerId layer, TensorSet& gradients, bool add);
  /// After the forward pass of the loss.
  BatchResult result() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// "oneDNN 2.6.3, avx512_core_bf16, 2 threads".
std::string processor_description(int threads);

}  // namespace lockstep
