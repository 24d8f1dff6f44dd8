// Accuracy and epochs against batch size: published points, fitted forms, honest bands.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "core/run/world.hpp"

namespace lockstep {

struct BatchPoint {
  double batch = 0;
  double value = 0;  ///< epochs to target, or top-1 in percent
  double sigma = 0;  ///< standard deviation, 0 = unknown
};

/// E(B) = E0 (1 + B / Bc)   (McCandlish et al. 2018, arXiv:1812.06162), least squares in log E, unweighted.
/// The constants belong to the recipes of the points, not to nature.
struct EpochsModel {
  double e0 = 0, critical_batch = 0;
  double low_batch = 0, high_batch = 0;  ///< range of the data
  double leave_one_out = 0;              ///< relative RMSE of each point predicted by a fit to all others
  /// Band: +- 2 x leave_one_out, relative. Nothing outside [low / 2, 2 high].
  std::optional<Figure> epochs(double batch) const;
};
/// At least 3 points, batches and values positive; sigma is not read. Best E0 for each Bc in closed form, Bc by a grid
/// and Brent's method over log Bc in [log(smallest batch / 1e3), log(largest batch x 1e6)]; data that do not grow with
/// the batch end at the upper bound. Cost O(400 n^2). Pure.
EpochsModel fit_epochs(const std::vector<BatchPoint>& points);

/// Top-1 in percent by linear interpolation over log2 batch between the measured neighbours a and b, t in [0, 1].
/// Band: +- (2 hypot((1 - t) sigma_a, t sigma_b) + 2 t (1 - t) |b - a|): twice the spread of the runs, and for the
/// unknown shape in between half the neighbours' difference midway. Points of equal batch are joined, their spread
/// added to sigma; an unknown sigma counts as the largest known one of the points, and if none is known the band is a
/// lower bound. Give it points of one recipe, in any order. Nothing outside the points' range. Pure.
std::optional<Figure> interpolate_top1(const std::vector<BatchPoint>& points, double batch);

}  // namespace lockstep
