// Every network by name.
#pragma once

#include <string>
#include <vector>

#include "core/model/graph.hpp"

namespace lockstep {

struct ModelInfo {
  std::string name;  ///< what build_model() takes
  std::string title;
  int image_size = 224;  ///< height and width of the images it was published with
  int classes = 1000;
  std::string source;  ///< paper
};

/// resnet50, resnet50_v1, resnet18, resnet34, resnet101, resnet152, resnet20, 32, 44, 56, 110 (CIFAR), resnet8_w8, alexnet, alexnet_bn.
std::vector<ModelInfo> models();

/// The graph of a model, not fused. `image_size` and `classes` of 0 take the model's own. Any CIFAR net "resnetD" with
/// D = 6 n + 2, 8 <= D <= 9998, exists unless D is 50 or 152 (ImageNet); "resnetD_wW" is the same with W, 2 W, 4 W channels
/// instead of 16, 32, 64 (1 <= W <= 1024): "resnet8_w8" is the small net of experiments/accuracy_vs_batch. Throws std::invalid_argument naming the nearest known
/// model, or the least image size of AlexNet. About 0.1 ms for ResNet-50.
ModelGraph build_model(const std::string& name, int image_size = 0, int classes = 0);

}  // namespace lockstep
