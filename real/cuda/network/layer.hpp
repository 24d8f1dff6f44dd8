// What every kind of layer is to a network on the device: how it computes, and where its values lie. Internal to
// real/cuda/network.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "core/base/error.hpp"
#include "core/model/graph.hpp"
#include "real/cuda/network/algorithm_choice.hpp"
#include "real/cuda/network/memory_plan.hpp"
#include "real/cuda/network/network.hpp"

namespace lockstep::cuda {

/// Device memory that layers need only while they run: one block for all, as large as the largest wish.
class Workspace {
 public:
  void want(std::size_t bytes) { bytes_ = bytes > bytes_ ? bytes : bytes_; }
  /// After all layers are built.
  void allocate() { block_ = DeviceArray<std::byte>(bytes_); }
  std::size_t bytes() const { return bytes_; }
  std::byte* data() const { return block_.data(); }

 private:
  std::size_t bytes_ = 0;
  DeviceArray<std::byte> block_;
};

struct Context {
  const ModelGraph& graph;
  const NetworkOptions& options;
  int images;
  int input_channels;  ///< of the images on the device
  const Handles& handles;
  DeviceWeights& weights;
  NormStatisticsDevice& statistics;
  AlgorithmCache& algorithms;
  MemoryPlan plan;
  DeviceArray<std::byte> memory;  ///< of the plan
  Workspace workspace;
  TrialBuffers trial;  ///< workspace and weights to measure algorithms with, while layers are built; else null
  std::vector<std::string> chosen;  ///< one line per convolution and direction
  const int* labels = nullptr;
  const long long* position = nullptr;
  const float* loss_scale = nullptr;
  LossSums* sums = nullptr;

  bool training() const { return options.mode == NetworkMode::Training; }
  Element element() const { return weights.element(); }
  cudaStream_t stream() const { return handles.stream(); }
  /// Of a value of the plan; null for -1.
  void* at(int value) const {
    return value < 0 ? nullptr : memory.data() + plan.values[static_cast<std::size_t>(value)].offset;
  }
};

/// Where a layer's backward pass puts the gradient of one of its inputs.
struct GradientPlace {
  void* data = nullptr;  ///< null: nobody needs it
  bool add = false;      ///< another layer wrote there before
};

/// One layer, built in graph order. Both passes only enqueue.
class LayerRun {
 public:
  virtual ~LayerRun() = default;
  virtual void forward() = 0;
  /// `add`: of the gradients of the layer's own tensors.
  virtual void backward(DeviceTensorSet&, bool) {}
};

/// What a layer is built from; outlives it.
struct Building {
  Context& context;
  const Layer& layer;

  void* x(std::size_t i = 0) const { return context.at(context.plan.activation[layer.inputs[i].index()]); }
  void* y() const { return context.at(context.plan.activation[layer.id.index()]); }
  void* dy() const { return context.at(context.plan.gradient[layer.id.index()]); }
  std::byte* saved() const { return static_cast<std::byte*>(context.at(context.plan.saved[layer.id.index()])); }
  GradientPlace dx(std::size_t i = 0) const {
    if (!context.training()) return {};
    const GradientTarget& t = context.plan.targets[layer.id.index()][i];
    return {context.at(t.value), t.way == GradientTarget::Way::Accumulate};
  }
  /// Channels of the first input on the device.
  int in_channels() const { return layer.inputs[0].value == 0 ? context.input_channels : layer.in.c; }
  /// Images x height x width of the output.
  long long rows() const { return static_cast<long long>(context.images) * layer.out.h * layer.out.w; }
  /// Values of the output.
  long long values() const { return rows() * layer.out.c; }
  /// The tensor of this role, which must exist.
  TensorId tensor(TensorRole role) const {
    for (const ParamTensor& t : context.graph.tensors) {
      if (t.layer == layer.id && t.role == role) return t.id;
    }
    throw InternalError("the layer has no tensor of this role");
  }
};

std::unique_ptr<LayerRun> make_convolution(const Building& b);
std::unique_ptr<LayerRun> make_linear(const Building& b);
std::unique_ptr<LayerRun> make_batch_norm(const Building& b);
std::unique_ptr<LayerRun> make_relu(const Building& b);
std::unique_ptr<LayerRun> make_add(const Building& b);
std::unique_ptr<LayerRun> make_pooling(const Building& b);
std::unique_ptr<LayerRun> make_lrn(const Building& b);
std::unique_ptr<LayerRun> make_dropout(const Building& b);
std::unique_ptr<LayerRun> make_loss(const Building& b);

}  // namespace lockstep::cuda
