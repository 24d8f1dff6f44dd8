#include "tests/real/cpu/oracle.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "core/model/loss.hpp"

namespace lockstep::test {

namespace {

using Values = std::vector<double>;

/// Position of (image, channel, row, column) in [N, C, H, W].
std::size_t at(const Shape& s, std::int64_t n, int c, int h, int w) {
  return static_cast<std::size_t>(((n * s.c + c) * s.h + h) * s.w + w);
}

const Values* find(const Oracle& o, const Layer& l, TensorRole role) {
  for (const ParamTensor& t : o.graph.tensors) {
    if (t.layer == l.id && t.role == role) return &o.tensors[t.id.index()];
  }
  return nullptr;
}

/// Calls visit(output position, channel out, input position, weight row, weight column) for every pair inside the image.
template <class Visit>
void windows(const Layer& l, std::int64_t n, int r, int s, int k, int c, Visit visit) {
  for (int p = 0; p < l.out.h; ++p) {
    for (int q = 0; q < l.out.w; ++q) {
      for (int i = 0; i < r; ++i) {
        for (int j = 0; j < s; ++j) {
          const int h = p * l.stride - l.pad + i, w = q * l.stride - l.pad + j;
          if (h < 0 || h >= l.in.h || w < 0 || w >= l.in.w) continue;
          visit(at(l.out, n, k, p, q), at(l.in, n, c, h, w), i, j);
        }
      }
    }
  }
}

Values convolution(const Oracle& o, const Layer& l, const Values& x) {
  const Values& weight = *find(o, l, TensorRole::Weight);
  const Values* bias = find(o, l, TensorRole::Bias);
  const int in_group = l.in.c / l.groups, out_group = l.out.c / l.groups;
  Values y(static_cast<std::size_t>(o.images * l.out.elements()));
  for (std::int64_t n = 0; n < o.images; ++n) {
    for (int k = 0; k < l.out.c; ++k) {
      for (int c = 0; c < in_group; ++c) {
        windows(l, n, l.r, l.s, k, k / out_group * in_group + c, [&](std::size_t to, std::size_t from, int i, int j) {
          y[to] += x[from] * weight[static_cast<std::size_t>(((k * in_group + c) * l.r + i) * l.s + j)];
        });
      }
      for (int p = 0; bias && p < l.out.h * l.out.w; ++p)
        y[at(l.out, n, k, 0, p)] += (*bias)[static_cast<std::size_t>(k)];
    }
  }
  return y;
}

Values linear(const Oracle& o, const Layer& l, const Values& x) {
  const Values &weight = *find(o, l, TensorRole::Weight), &bias = *find(o, l, TensorRole::Bias);
  const auto in = static_cast<std::size_t>(l.in.elements()), out = static_cast<std::size_t>(l.out.c);
  Values y;
  for (std::size_t n = 0; n < static_cast<std::size_t>(o.images); ++n) {
    for (std::size_t k = 0; k < out; ++k) {
      double sum = bias[k];
      for (std::size_t j = 0; j < in; ++j) sum += weight[k * in + j] * x[n * in + j];
      y.push_back(sum);
    }
  }
  return y;
}

Values batch_norm(const Oracle& o, const Layer& l, const Values& x, Oracle::Result& result) {
  const Values &gamma = *find(o, l, TensorRole::Gamma), &beta = *find(o, l, TensorRole::Beta);
  const double count = static_cast<double>(o.images) * l.out.h * l.out.w;
  Values &mean = result.mean[l.id.value], &variance = result.variance[l.id.value], y(x.size());
  for (int c = 0; c < l.out.c; ++c) {
    const auto ch = static_cast<std::size_t>(c);
    const auto each = [&](auto visit) {
      for (std::int64_t n = 0; n < o.images; ++n) {
        for (int p = 0; p < l.out.h * l.out.w; ++p) visit(at(l.out, n, c, 0, p));
      }
    };
    double m = 0, v = 0;
    if (o.given_mean.empty()) {
      each([&](std::size_t i) { m += x[i] / count; });
      each([&](std::size_t i) { v += (x[i] - m) * (x[i] - m) / count; });
    } else {
      m = o.given_mean.at(l.id.value)[ch];
      v = o.given_variance.at(l.id.value)[ch];
    }
    each([&](std::size_t i) { y[i] = gamma[ch] * (x[i] - m) / std::sqrt(v + o.epsilon) + beta[ch]; });
    mean.push_back(m);
    variance.push_back(v);
  }
  return y;
}

Values pooling(const Oracle& o, const Layer& l, const Values& x) {
  const bool maximum = l.kind == LayerKind::MaxPool, global = l.r == 0;
  const int r = global ? l.in.h : l.r, s = global ? l.in.w : l.s;
  Values y(static_cast<std::size_t>(o.images * l.out.elements()),
           maximum ? -std::numeric_limits<double>::infinity() : 0);
  Values count(y.size());
  for (std::int64_t n = 0; n < o.images; ++n) {
    for (int c = 0; c < l.out.c; ++c) {
      windows(l, n, r, s, c, c, [&](std::size_t to, std::size_t from, int, int) {
        y[to] = maximum ? std::max(y[to], x[from]) : y[to] + x[from];
        ++count[to];
      });
    }
  }
  for (std::size_t i = 0; !maximum && i < y.size(); ++i) y[i] /= count[i];
  return y;
}

/// Krizhevsky et al. 2012, section 3.3: k = 2, n = 5, alpha = 1e-4, beta = 0.75.
Values lrn(const Oracle& o, const Layer& l, const Values& x) {
  Values y(x.size());
  for (std::int64_t n = 0; n < o.images; ++n) {
    for (int c = 0; c < l.out.c; ++c) {
      for (int p = 0; p < l.out.h * l.out.w; ++p) {
        double sum = 0;
        for (int d = std::max(0, c - 2); d <= std::min(l.out.c - 1, c + 2); ++d)
          sum += std::pow(x[at(l.in, n, d, 0, p)], 2);
        y[at(l.out, n, c, 0, p)] = x[at(l.in, n, c, 0, p)] / std::pow(2 + 1e-4 * sum, 0.75);
      }
    }
  }
  return y;
}

}  // namespace

Oracle::Result Oracle::forward() const {
  Result result;
  std::vector<Values> values;
  const auto plus = [](Values a, const Values& b) {
    std::transform(a.begin(), a.end(), b.begin(), a.begin(), std::plus<>());
    return a;
  };
  const auto relu = [](Values a) {
    for (double& v : a) v = std::max(v, 0.0);
    return a;
  };
  for (const Layer& l : graph.layers) {
    const auto in = [&](std::size_t i) -> const Values& { return values[l.inputs[i].index()]; };
    switch (l.kind) {
      case LayerKind::Input: values.push_back(input); break;
      case LayerKind::Conv: values.push_back(convolution(*this, l, in(0))); break;
      case LayerKind::BatchNorm: {
        Values y = batch_norm(*this, l, in(0), result);
        if (l.fused_add) y = plus(std::move(y), in(1));
        values.push_back(l.fused_relu ? relu(std::move(y)) : std::move(y));
        break;
      }
      case LayerKind::Relu: values.push_back(relu(in(0))); break;
      case LayerKind::Add: values.push_back(plus(in(0), in(1))); break;
      case LayerKind::MaxPool:
      case LayerKind::AvgPool: values.push_back(pooling(*this, l, in(0))); break;
      case LayerKind::Lrn: values.push_back(lrn(*this, l, in(0))); break;
      case LayerKind::Dropout: values.push_back(in(0)); break;
      case LayerKind::Linear: values.push_back(linear(*this, l, in(0))); break;
      case LayerKind::SoftmaxCrossEntropy: {
        result.logits = in(0);
        const auto classes = static_cast<std::size_t>(l.in.c);
        for (std::size_t n = 0; n < labels.size(); ++n) {
          if (labels[n] < 0) continue;
          const auto row = std::span(result.logits).subspan(n * classes, classes);
          result.loss += cross_entropy(row, labels[n], label_smoothing);
          result.correct += top1(row, labels[n]) ? 1 : 0;
        }
        break;
      }
    }
  }
  return result;
}

double Oracle::gradient(TensorId tensor, std::size_t element) {
  constexpr double h = 1e-5;
  double& value = tensors[tensor.index()][element];
  const double kept = value;
  value = kept + h;
  const double above = forward().loss;
  value = kept - h;
  const double below = forward().loss;
  value = kept;
  return (above - below) / (2 * h);
}

}  // namespace lockstep::test
