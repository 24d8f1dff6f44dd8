// A model on one GPU: forward and backward of one micro-batch, layer by layer, on cuDNN and cuBLAS.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "core/model/graph.hpp"
#include "core/spec/run_spec.hpp"
#include "real/cuda/kernels/loss_sums.cuh"
#include "real/cuda/network/algorithm_cache.hpp"
#include "real/cuda/network/device_weights.hpp"
#include "real/cuda/network/handles.hpp"

namespace lockstep::cuda {

enum class NetworkMode { Training, Evaluation };

struct NetworkOptions {
  NetworkMode mode = NetworkMode::Training;
  /// Fp16, Bf16: activations, their gradients, and the copies of weights that are multiplied; every sum is fp32. Tf32
  /// stores fp32.
  Precision precision = Precision::Fp32;
  /// Equal bits on equal devices and library versions: deterministic algorithms, chosen without measuring.
  bool deterministic = true;
  double label_smoothing = 0;
  double norm_momentum = 0.9;  ///< average = momentum x average + (1 - momentum) x batch
  double norm_epsilon = 1e-5;
  std::uint64_t seed = 42;  ///< of dropout
  /// Channels of the images on the device, those beyond the graph's zero. 0: padded_input_channels() of the graph and
  /// precision.
  int input_channels_padded = 0;
  std::size_t workspace_limit = std::size_t{1} << 30;  ///< bytes that one convolution may ask for
  /// One value in device memory that multiplies the gradient of the loss, read by every forward pass of the loss; null:
  /// 1.
  const float* loss_scale = nullptr;
  /// Choices made before, and where new ones go; null: the network's own. Used by the constructor only.
  AlgorithmCache* algorithms = nullptr;
};

/// Everything is enqueued on the stream of `handles`; nothing waits, and nothing is allocated after the constructor
/// (which waits and may measure for some seconds). forward() and backward() can be captured in a CUDA graph after they
/// have run once uncaptured: what changes from step to step (images, labels, position, loss scale, weights, averages)
/// is read from device memory. Memory: plan_memory() plus one workspace.
///
/// Weight gradients: in fp32 cuDNN writes or adds them straight into the gradient set. With 16-bit activations cuDNN's
/// legacy interface takes a gradient of weights of the same 16-bit type only, on every device; it goes to a buffer,
/// rounded once from the fp32 sum, and is cast or added into the fp32 set. So in Fp16 the gradient of a tensor, summed
/// over the micro-batch and times the loss scale, must stay below 65504. Linear layers, norms and biases write fp32
/// sums.
///
/// Throws ConfigError (key "training.precision") for Bf16 on devices older than Ampere; BackendError naming layer and
/// call.
class Network {
 public:
  /// `weights`: TensorLayout with this graph and these input channels, element type of the precision. `statistics`:
  /// read in evaluation; in training updated by every forward pass (with the unbiased variance). `handles`, `weights`
  /// and `statistics` must outlive this. images >= 1.
  Network(std::shared_ptr<const ModelGraph> graph, std::int64_t images, const NetworkOptions& options,
          const Handles& handles, DeviceWeights& weights, NormStatisticsDevice& statistics);
  ~Network();

  std::int64_t images() const;
  /// [images, H, W, input_channels()] of element(), in device memory; its own place: may be written as soon as the
  /// backward pass (evaluation: forward pass) before is done, in stream order. Starts at zero.
  void* input() const;
  int input_channels() const;
  Element element() const;
  /// [images] in device memory; -1: this image has no loss, no gradient, and is not counted. Starts at -1.
  int* labels() const;
  /// `position`: of the first image among all images of the run so far, for dropout. Sets *position() by a launch; not
  /// to be captured.
  void begin(std::int64_t position);
  /// One value in device memory, for those who set it in another way.
  long long* position() const;
  /// Layers in graph order; Input does nothing. In training the loss computes its gradient in its forward pass.
  void forward(LayerId layer);
  /// Layers in reverse order, once after each forward pass of all layers (gradients take the place of activations). The
  /// gradients of the layer's tensors, summed over the images and times the loss scale, are written to `gradients`
  /// (same layout as the weights), or added.
  void backward(LayerId layer, DeviceTensorSet& gradients, bool add);
  /// In device memory; every forward pass of the loss adds.
  LossSums* sums() const;
  /// Starts the sums anew, in stream order.
  void clear_sums();
  /// Waits for the stream.
  LossSums read_sums() const;
  /// "conv1 forward: IMPLICIT_PRECOMP_GEMM, tensor op, 12.3 MB, by heuristics", per convolution and direction.
  const std::vector<std::string>& algorithms() const;
  /// Of the plan, and of the workspace.
  std::size_t memory_bytes() const;
  std::size_t workspace_bytes() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace lockstep::cuda
