// A GPU of round numbers, for tests that calculate by hand.
#pragma once

#include "core/model/graph.hpp"
#include "core/spec/gpu_spec.hpp"

namespace lockstep::sim {

/// fp32 10 TFLOP/s, half 100 TFLOP/s, memory 1000 GB/s, at least 3 us per kernel, 5 us to issue an operation. No table, no anchor.
inline GpuSpec hand_gpu() {
  GpuSpec g;
  g.name = "hand";
  g.fp32_peak = Sourced(FlopRate::teraflops(10));
  g.half_peak = Sourced(FlopRate::teraflops(100));
  g.memory_achieved = Sourced(Bandwidth::gigabytes_per_second(1000));
  g.kernel_gap = Sourced(Time::microseconds(3));
  g.dispatch = Sourced(Time::microseconds(5));
  return g;
}

/// Input, one square convolution without bias, loss: layers 0, 1 and the last.
inline ModelGraph one_conv(Shape in, int k, int kernel, int stride, int pad, int groups = 1) {
  GraphBuilder b("one_conv", in);
  const LayerId conv = b.conv("conv", b.input(), k, kernel, stride, pad, false, groups);
  return std::move(b).finish(conv);
}

/// The table's row of that layer: all three passes take `time`.
inline ConvTiming row_of(const Layer& l, Precision precision, int n, Time time) {
  ConvTiming t;
  t.precision = precision;
  t.n = n;
  t.c = l.in.c, t.h = l.in.h, t.w = l.in.w, t.k = l.out.c;
  t.r = l.r, t.s = l.s, t.stride = l.stride, t.pad_h = t.pad_w = l.pad;
  t.forward = t.backward_data = t.backward_weight = time;
  return t;
}

}  // namespace lockstep::sim
