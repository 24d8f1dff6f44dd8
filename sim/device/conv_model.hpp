// Convolution times: measured rows first, a fitted line otherwise.
#pragma once

#include <map>
#include <tuple>
#include <vector>

#include "core/base/units.hpp"
#include "core/model/graph.hpp"
#include "core/model/layer_cost.hpp"
#include "core/spec/gpu_spec.hpp"
#include "sim/device/wave_model.hpp"

namespace lockstep::sim {

/// Time of a pass as a line in the batch, fitted to the table's rows of one filter size: median over shapes.
struct ConvFit {
  Time fixed;               ///< what a launch costs whatever the batch: prologue, tail wave, split-k sums
  double efficiency = 0.5;  ///< FLOPs per image / (slope x peak)
  double best = 0.9;        ///< highest efficiency of any row
  int shapes = 0;           ///< shapes with at least two batches
};

/// Rows of one precision. A shape measured at two batches or more keeps every measured time and is linear between them; below them the first
/// and last row's line holds (never below proportional to the batch, never rising as the batch falls); above, its slope is kept, but no image
/// is cheaper than at the best measured efficiency and the whole never faster than the memory. That best, counted in direct FLOPs, may exceed
/// the peak only where Winograd or FFT apply: filters larger than 1x1 at stride 1.
/// A shape without rows takes the median line of its filter size (1x1, 3x3, others; all together where a size has fewer than three shapes).
/// With `small_batch` and a device that has multiprocessors, rows say only what one more image costs (the line's slope, no image cheaper than above);
/// the waves of wave_model.hpp say what the batch loses: time = cost of an image x (N + lost images), never below moving everything
/// through memory once. The rows' own intercepts, of a benchmark that repeats one convolution on warm caches, are about half of what networks show. Shapes without rows take the fitted efficiency for the image.
class ConvModel {
 public:
  ConvModel(const GpuSpec& gpu, Precision precision, bool small_batch = true);
  /// `cost` is that of the pass at this batch. batch >= 1. Not scaled by any anchor.
  Time time(const Layer& layer, ConvPass pass, std::int64_t batch, const PassCost& cost) const;
  const ConvFit& fit(ConvPass pass, int filter) const;
  bool measured(const Layer& layer) const;  ///< the table has this shape

 private:
  using Shape = std::tuple<int, int, int, int, int, int, int>;  // C H W K R stride pad
  static Shape shape_of(const Layer& layer);
  FlopRate peak_;
  Bandwidth memory_;
  int multiprocessors_;  ///< zero: no waves
  double tail_waves_;
  std::map<Shape, std::map<int, ConvTiming>> rows_;   // by batch
  std::map<std::pair<ConvPass, int>, ConvFit> fits_;  // by filter class
};

}  // namespace lockstep::sim
