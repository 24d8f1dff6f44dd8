// A network as data: layers in forward order and their parameter tensors. No weights, no backend.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/base/ids.hpp"

namespace lockstep {

enum class LayerKind { Input, Conv, BatchNorm, Relu, Add, MaxPool, AvgPool, Lrn, Dropout, Linear, SoftmaxCrossEntropy };

/// Activation of one image: channels, height, width (the batch N comes later). A vector has h = w = 1.
struct Shape {
  int c = 0, h = 1, w = 1;
  std::int64_t elements() const { return std::int64_t{c} * h * w; }
  bool operator==(const Shape&) const = default;
};

/// One layer. Convolution: weight [K, C / groups, R, S]; pooling uses r, s, stride, pad too. AvgPool with r = 0 is
/// global.
struct Layer {
  LayerId id;
  std::string name;  ///< "layer1.0.conv2"; unique in the graph
  LayerKind kind = LayerKind::Input;
  std::vector<LayerId> inputs;  ///< earlier layers; two for Add, or for a BatchNorm with `fused_add`
  Shape in, out;                ///< of one image; `in` is the first input's
  int r = 0, s = 0, stride = 1, pad = 0, groups = 1;
  bool bias = false;        ///< Conv, Linear
  bool fused_add = false;   ///< BatchNorm that adds its second input (after fuse())
  bool fused_relu = false;  ///< BatchNorm (+ add) followed by ReLU in one kernel (after fuse())
  bool gamma_zero = false;  ///< last BatchNorm of a residual block: gamma may start at 0 (Goyal et al., 5.1)
};

enum class TensorRole { Weight, Bias, Gamma, Beta };

struct ParamTensor {
  TensorId id;
  std::string name;  ///< "layer1.0.conv2.weight"
  LayerId layer;
  TensorRole role = TensorRole::Weight;
  std::vector<std::int64_t> dims;
  std::int64_t elements() const;
  bool is_norm() const { return role == TensorRole::Gamma || role == TensorRole::Beta; }
};

/// Invariants: layers[i].id == i; inputs point backwards; tensors[i].id == i, in forward order of their layers
/// (weight before bias, gamma before beta); the first layer is Input and the last SoftmaxCrossEntropy.
struct ModelGraph {
  std::string name;
  int classes = 0;
  std::vector<Layer> layers;
  std::vector<ParamTensor> tensors;

  const Layer& layer(LayerId id) const { return layers[id.index()]; }
  const ParamTensor& tensor(TensorId id) const { return tensors[id.index()]; }
  Shape input() const { return layers.front().out; }
  std::int64_t parameters() const;
};

/// Appends layers and their tensors while keeping the invariants; shapes are derived.
/// Output size of convolutions and pooling: floor((in + 2 pad - kernel) / stride) + 1; the padded input must hold at
/// least one window. Channels divide by `groups`; the inputs of add() have equal shapes. LOCKSTEP_EXPECTS otherwise.
class GraphBuilder {
 public:
  GraphBuilder(std::string name, Shape input);
  LayerId conv(const std::string& name, LayerId in, int k, int kernel, int stride, int pad, bool bias = false,
               int groups = 1);
  LayerId batch_norm(const std::string& name, LayerId in, bool gamma_zero = false);
  LayerId relu(const std::string& name, LayerId in);
  LayerId add(const std::string& name, LayerId a, LayerId b);
  LayerId max_pool(const std::string& name, LayerId in, int kernel, int stride, int pad);
  LayerId global_avg_pool(const std::string& name, LayerId in);
  LayerId lrn(const std::string& name, LayerId in);
  LayerId dropout(const std::string& name, LayerId in);
  LayerId linear(const std::string& name, LayerId in, int out);
  LayerId input() const { return LayerId(0); }
  /// Adds the loss and returns the finished graph.
  ModelGraph finish(LayerId logits) &&;

 private:
  LayerId append(Layer layer);
  void parameter(LayerId layer, const std::string& suffix, TensorRole role, std::vector<std::int64_t> dims);
  ModelGraph graph_;
};

/// The same network with BatchNorm + ReLU and BatchNorm + Add + ReLU joined into one layer each, as frameworks do with
/// one kernel (facts: training.md, section 2). A joined layer is named after its BatchNorm and stands where its ReLU
/// stood; of two norms before an addition the later one takes it. Tensors, their ids and their order stay.
/// A BatchNorm is left alone if anything else reads the values in between, or if a layer with parameters stands in
/// between (moving the norm behind it would break the order of the tensors). Pure; time linear in the layers.
ModelGraph fuse(const ModelGraph& graph);

}  // namespace lockstep
