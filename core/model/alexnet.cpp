#include "core/model/alexnet.hpp"

namespace lockstep {

ModelGraph alexnet(bool batch_norm, int image_size, int classes) {
  GraphBuilder g(batch_norm ? "alexnet_bn" : "alexnet", {3, image_size, image_size});
  const auto conv = [&](const std::string& number, LayerId in, int k, int kernel, int stride, int pad, int groups,
                        bool normalise) {
    LayerId x = g.conv("conv" + number, in, k, kernel, stride, pad, !batch_norm, groups);
    if (batch_norm) x = g.batch_norm("bn" + number, x);
    x = g.relu("relu" + number, x);
    return normalise && !batch_norm ? g.lrn("norm" + number, x) : x;
  };
  LayerId x = g.max_pool("pool1", conv("1", g.input(), 96, 11, 4, 0, 1, true), 3, 2, 0);
  x = g.max_pool("pool2", conv("2", x, 256, 5, 1, 2, 2, true), 3, 2, 0);
  x = conv("3", x, 384, 3, 1, 1, 1, false);
  x = conv("4", x, 384, 3, 1, 1, 2, false);
  x = g.max_pool("pool5", conv("5", x, 256, 3, 1, 1, 2, false), 3, 2, 0);
  x = g.dropout("drop6", g.relu("relu6", g.linear("fc6", x, 4096)));
  x = g.dropout("drop7", g.relu("relu7", g.linear("fc7", x, 4096)));
  x = g.linear("fc8", x, classes);
  return std::move(g).finish(x);
}

}  // namespace lockstep
