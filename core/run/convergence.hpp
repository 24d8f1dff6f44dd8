// Accuracy and epochs against batch size: published points, fitted forms, honest bands.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "core/run/world.hpp"

namespace lockstep {

struct BatchPoint {
  double batch = 0;
  double value = 0;      ///< epochs to target, or top-1 in percent
  double sigma = 0;      ///< standard deviation, 0 = unknown
};

/// E(B) = E0 (1 + B / Bc)   (McCandlish et al. 2018, arXiv:1812.06162), least squares in log E.
struct EpochsModel {
  double e0 = 0, critical_batch = 0;
  double low_batch = 0, high_batch = 0;   ///< range of the data
  double leave_one_out = 0;               ///< relative RMSE
  /// Band: +- 2 x leave_one_out. Nothing outside [low / 2, 2 high].
  std::optional<Figure> epochs(double batch) const;
};
/// points.size() >= 3, positive. Pure.
EpochsModel fit_epochs(const std::vector<BatchPoint>& points);

/// Top-1 by interpolation over log2 batch between measured points; band from the points' sigma and the interpolation gap.
/// Nothing outside the points' range.
std::optional<Figure> interpolate_top1(const std::vector<BatchPoint>& points, double batch);

}  // namespace lockstep
