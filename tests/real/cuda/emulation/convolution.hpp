// Convolutions by their definition, NHWC.
#pragma once

#include <cudnn.h>

#include <cstddef>
#include <vector>

#include "tests/real/cuda/emulation/element.hpp"

struct cudnnTensorStruct {
  cudnnDataType_t type;
  int n, c, h, w;
};
struct cudnnFilterStruct {
  cudnnDataType_t type;
  int k, c, r, s;
};
struct cudnnConvolutionStruct {
  int pad, stride, groups = 1;
  cudnnMathType_t math = CUDNN_DEFAULT_MATH;
};

namespace emulator {

inline Type type_of(cudnnDataType_t t) {
  return t == CUDNN_DATA_HALF ? Type::F16 : t == CUDNN_DATA_BFLOAT16 ? Type::Bf16 : Type::F32;
}

inline std::size_t size(const cudnnTensorStruct& t) {
  return std::size_t(t.n) * std::size_t(t.c) * std::size_t(t.h) * std::size_t(t.w);
}
inline std::size_t size(const cudnnFilterStruct& t) {
  return std::size_t(t.k) * std::size_t(t.c) * std::size_t(t.r) * std::size_t(t.s);
}

/// Input x, output y and filter w of one convolution.
struct Convolution {
  cudnnTensorStruct x, y;
  cudnnFilterStruct w;
  cudnnConvolutionStruct how;

  bool fits() const {
    const auto out = [&](int image, int kernel) { return (image + 2 * how.pad - kernel) / how.stride + 1; };
    return x.type == y.type && x.type == w.type && x.n == y.n && x.c == w.c * how.groups && y.c == w.k &&
           w.k % how.groups == 0 && y.h == out(x.h, w.r) && y.w == out(x.w, w.s);
  }

  /// Calls visit(index of x, index of w, index of y) for every multiplication.
  template <class Visit>
  void products(Visit visit) const {
    const auto at = [](int row, int size, int column) {
      return std::size_t(row) * std::size_t(size) + std::size_t(column);
    };
    for (int n = 0; n < y.n; ++n) {
      for (int p = 0; p < y.h; ++p) {
        for (int q = 0; q < y.w; ++q) {
          for (int i = 0; i < w.r; ++i) {
            for (int j = 0; j < w.s; ++j) {
              const int row = p * how.stride - how.pad + i, column = q * how.stride - how.pad + j;
              if (row < 0 || row >= x.h || column < 0 || column >= x.w) continue;
              const std::size_t pixel_x = at(n * x.h + row, x.w, column) * std::size_t(x.c);
              const std::size_t pixel_y = at(n * y.h + p, y.w, q) * std::size_t(y.c);
              for (int k = 0; k < w.k; ++k) {
                const int first = k / (w.k / how.groups) * w.c;
                const std::size_t tap = at(at_tap(k, i), w.s, j) * std::size_t(w.c);
                for (int c = 0; c < w.c; ++c)
                  visit(pixel_x + std::size_t(first + c), tap + std::size_t(c), pixel_y + std::size_t(k));
              }
            }
          }
        }
      }
    }
  }

 private:
  int at_tap(int k, int i) const { return k * w.r + i; }
};

}  // namespace emulator
