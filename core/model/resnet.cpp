#include "core/model/resnet.hpp"

#include <array>

#include "core/base/error.hpp"

namespace lockstep {

namespace {

/// Two 3x3 convolutions.
LayerId basic_block(GraphBuilder& g, const std::string& name, LayerId in, int width, int stride, bool project) {
  LayerId shortcut = in;
  if (project) shortcut = g.batch_norm(name + ".downsample.1", g.conv(name + ".downsample.0", in, width, 1, stride, 0));
  LayerId x = g.relu(name + ".relu1", g.batch_norm(name + ".bn1", g.conv(name + ".conv1", in, width, 3, stride, 1)));
  x = g.batch_norm(name + ".bn2", g.conv(name + ".conv2", x, width, 3, 1, 1), true);
  return g.relu(name + ".relu", g.add(name + ".add", x, shortcut));
}

/// 1x1, 3x3, 1x1 with four times the width at the end.
LayerId bottleneck(GraphBuilder& g, const std::string& name, LayerId in, int width, int stride, bool project, bool v1) {
  LayerId shortcut = in;
  if (project)
    shortcut = g.batch_norm(name + ".downsample.1", g.conv(name + ".downsample.0", in, 4 * width, 1, stride, 0));
  LayerId x =
      g.relu(name + ".relu1", g.batch_norm(name + ".bn1", g.conv(name + ".conv1", in, width, 1, v1 ? stride : 1, 0)));
  x = g.relu(name + ".relu2", g.batch_norm(name + ".bn2", g.conv(name + ".conv2", x, width, 3, v1 ? 1 : stride, 1)));
  x = g.batch_norm(name + ".bn3", g.conv(name + ".conv3", x, 4 * width, 1, 1, 0), true);
  return g.relu(name + ".relu", g.add(name + ".add", x, shortcut));
}

}  // namespace

ModelGraph imagenet_resnet(int depth, bool v1, int image_size, int classes) {
  std::array<int, 4> blocks{};
  switch (depth) {
    case 18: blocks = {2, 2, 2, 2}; break;
    case 34:
    case 50: blocks = {3, 4, 6, 3}; break;
    case 101: blocks = {3, 4, 23, 3}; break;
    case 152: blocks = {3, 8, 36, 3}; break;
    default: throw InternalError("no ImageNet ResNet of this depth");
  }
  const bool wide = depth >= 50;
  GraphBuilder g("resnet" + std::to_string(depth) + (v1 && wide ? "_v1" : ""), {3, image_size, image_size});
  LayerId x = g.relu("relu", g.batch_norm("bn1", g.conv("conv1", g.input(), 64, 7, 2, 3)));
  x = g.max_pool("maxpool", x, 3, 2, 1);
  for (std::size_t stage = 0; stage < blocks.size(); ++stage) {
    const int width = 64 << stage;
    for (int b = 0; b < blocks[stage]; ++b) {
      const std::string name = "layer" + std::to_string(stage + 1) + "." + std::to_string(b);
      const int stride = stage > 0 && b == 0 ? 2 : 1;
      const bool project = b == 0 && (wide || stage > 0);
      x = wide ? bottleneck(g, name, x, width, stride, project, v1) : basic_block(g, name, x, width, stride, project);
    }
  }
  x = g.linear("fc", g.global_avg_pool("avgpool", x), classes);
  return std::move(g).finish(x);
}

ModelGraph cifar_resnet(int depth, int image_size, int classes, int width) {
  LOCKSTEP_EXPECTS(depth >= 8 && (depth - 2) % 6 == 0 && width >= 1);
  GraphBuilder g("resnet" + std::to_string(depth) + (width == 16 ? "" : "_w" + std::to_string(width)),
                 {3, image_size, image_size});
  LayerId x = g.relu("relu", g.batch_norm("bn1", g.conv("conv1", g.input(), width, 3, 1, 1)));
  for (int stage = 0; stage < 3; ++stage) {
    for (int b = 0; b < (depth - 2) / 6; ++b) {
      const bool first = stage > 0 && b == 0;
      x = basic_block(g, "layer" + std::to_string(stage + 1) + "." + std::to_string(b), x, width << stage,
                      first ? 2 : 1, first);
    }
  }
  x = g.linear("fc", g.global_avg_pool("avgpool", x), classes);
  return std::move(g).finish(x);
}

}  // namespace lockstep
