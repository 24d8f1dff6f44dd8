#include "core/model/zoo.hpp"

#include <stdexcept>

#include "core/base/error.hpp"
#include "core/model/alexnet.hpp"
#include "core/model/resnet.hpp"

namespace lockstep {

std::vector<ModelInfo> models() {
  const std::string he = "He et al. 2015, arXiv:1512.03385";
  std::vector<ModelInfo> list = {
      {"resnet50", "ResNet-50 v1.5 (stride in the 3x3)", 224, 1000, he + "; v1.5: NVIDIA DeepLearningExamples"},
      {"resnet50_v1", "ResNet-50 v1 (stride in the first 1x1)", 224, 1000, he},
      {"resnet18", "ResNet-18", 224, 1000, he},
      {"resnet34", "ResNet-34", 224, 1000, he},
      {"resnet101", "ResNet-101 v1.5", 224, 1000, he},
  };
  for (int depth : {20, 32, 44, 56, 110}) {
    list.push_back({"resnet" + std::to_string(depth), "CIFAR ResNet-" + std::to_string(depth) + " (any depth 6n + 2)",
                    32, 10, he + ", section 4.2"});
  }
  list.push_back({"alexnet", "AlexNet, two towers, with response normalisation", 227, 1000, "Krizhevsky et al. 2012"});
  list.push_back({"alexnet_bn", "AlexNet with batch norm", 227, 1000, "You et al. 2017, arXiv:1708.03888"});
  return list;
}

ModelGraph build_model(const std::string& name, int image_size, int classes) {
  const auto size = [&](int own) { return image_size > 0 ? image_size : own; };
  const auto count = [&](int own) { return classes > 0 ? classes : own; };
  if (name == "alexnet" || name == "alexnet_bn") {
    if (size(227) < 67)
      throw std::invalid_argument("images of " + std::to_string(image_size) + " pixels are too small for " + name +
                                  "; expected at least 67");
    return alexnet(name == "alexnet_bn", size(227), count(1000));
  }
  if (name == "resnet50_v1") return imagenet_resnet(50, true, size(224), count(1000));
  if (name.rfind("resnet", 0) == 0 && name.size() > 6 && name.size() < 11 && name[6] != '0' &&
      name.find_first_not_of("0123456789", 6) == std::string::npos) {
    const int depth = std::stoi(name.substr(6));
    if (depth == 18 || depth == 34 || depth == 50 || depth == 101)
      return imagenet_resnet(depth, false, size(224), count(1000));
    if (depth >= 8 && (depth - 2) % 6 == 0) return cifar_resnet(depth, size(32), count(10));
  }
  std::vector<std::string> names;
  std::string list;
  for (const auto& m : models()) {
    names.push_back(m.name);
    list += (list.empty() ? "" : ", ") + m.name;
  }
  const std::string near = nearest(name, names);
  throw std::invalid_argument("\"" + name + "\" is not a known model" +
                              (near.empty() ? "" : " (did you mean \"" + near + "\"?)") + "; expected one of " + list);
}

}  // namespace lockstep
