#include "core/model/zoo.hpp"

#include <optional>
#include <stdexcept>
#include <utility>

#include "core/base/error.hpp"
#include "core/model/alexnet.hpp"
#include "core/model/resnet.hpp"

namespace lockstep {

namespace {

/// A whole number without leading zero, of at most four digits; nothing for any other text.
std::optional<int> number(const std::string& text) {
  if (text.empty() || text.size() > 4 || text[0] == '0' || text.find_first_not_of("0123456789") != std::string::npos)
    return {};
  return std::stoi(text);
}

/// Depth and width of "resnetD" (width 0: the usual one) and "resnetD_wW".
std::optional<std::pair<int, int>> residual_name(const std::string& name) {
  constexpr int kWidest = 1024;
  const std::string prefix = "resnet", infix = "_w";
  if (name.rfind(prefix, 0) != 0) return {};
  const std::size_t cut = name.find(infix);
  const auto depth = number(name.substr(prefix.size(), cut == std::string::npos ? cut : cut - prefix.size()));
  if (!depth) return {};
  if (cut == std::string::npos) return std::pair(*depth, 0);
  const auto width = number(name.substr(cut + infix.size()));
  if (!width || *width > kWidest) return {};
  return std::pair(*depth, *width);
}

}  // namespace

std::vector<ModelInfo> models() {
  const std::string he = "He et al. 2015, arXiv:1512.03385";
  std::vector<ModelInfo> list = {
      {"resnet50", "ResNet-50 v1.5 (stride in the 3x3)", 224, 1000, he + "; v1.5: NVIDIA DeepLearningExamples"},
      {"resnet50_v1", "ResNet-50 v1 (stride in the first 1x1)", 224, 1000, he},
      {"resnet18", "ResNet-18", 224, 1000, he},
      {"resnet34", "ResNet-34", 224, 1000, he},
      {"resnet101", "ResNet-101 v1.5", 224, 1000, he},
      {"resnet152", "ResNet-152 v1.5", 224, 1000, he},
  };
  for (int depth : {20, 32, 44, 56, 110}) {
    list.push_back({"resnet" + std::to_string(depth), "CIFAR ResNet-" + std::to_string(depth) + " (any depth 6n + 2)",
                    32, 10, he + ", section 4.2"});
  }
  list.push_back({"resnet8_w8", "CIFAR ResNet-8 with 8, 16, 32 channels (any resnetD_wW: depth D, first width W)", 32,
                  10, he + ", section 4.2, narrower"});
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
  if (const auto net = residual_name(name)) {
    const auto [depth, width] = *net;
    const bool imagenet = depth == 18 || depth == 34 || depth == 50 || depth == 101 || depth == 152;
    if (imagenet && width == 0) return imagenet_resnet(depth, false, size(224), count(1000));
    if (depth >= 8 && (depth - 2) % 6 == 0 && !imagenet)
      return cifar_resnet(depth, size(32), count(10), width > 0 ? width : 16);
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
