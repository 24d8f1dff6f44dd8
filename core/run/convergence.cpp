#include "core/run/convergence.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <span>

#include <boost/math/tools/minima.hpp>

#include "core/base/error.hpp"

namespace lockstep {

namespace {

struct Fit {
  double e0 = 0, critical_batch = 0;
  double at(double batch) const { return e0 * (1 + batch / critical_batch); }
};

/// For a given Bc the best log E0 is the mean of log E - log(1 + B / Bc); what is left is a search in one variable.
double mean_log_e0(std::span<const BatchPoint> points, double critical) {
  double sum = 0;
  for (const auto& p : points) sum += std::log(p.value) - std::log1p(p.batch / critical);
  return sum / static_cast<double>(points.size());
}

double squares(std::span<const BatchPoint> points, double critical) {
  const double log_e0 = mean_log_e0(points, critical);
  double sum = 0;
  for (const auto& p : points) {
    const double r = std::log(p.value) - std::log1p(p.batch / critical) - log_e0;
    sum += r * r;
  }
  return sum;
}

Fit fit(std::span<const BatchPoint> points) {
  double low = points.front().batch, high = low;
  for (const auto& p : points) {
    low = std::min(low, p.batch);
    high = std::max(high, p.batch);
  }
  // Beyond these Bc the form is a power law of exponent 1 (E0 not identifiable) or a constant (Bc not identifiable).
  const double first = std::log(low / 1e3), last = std::log(high * 1e6);
  constexpr int kGrid = 400;
  const double step = (last - first) / kGrid;
  const auto cost = [&](double log_critical) { return squares(points, std::exp(log_critical)); };
  int best = 0;
  double least = std::numeric_limits<double>::infinity();
  for (int i = 0; i <= kGrid; ++i) {
    const double c = cost(first + i * step);
    if (c < least) {
      least = c;
      best = i;
    }
  }
  const double a = first + std::max(best - 1, 0) * step, b = first + std::min(best + 1, kGrid) * step;
  constexpr int kBits = std::numeric_limits<double>::digits / 2;
  const double critical = std::exp(boost::math::tools::brent_find_minima(cost, a, b, kBits).first);
  return {std::exp(mean_log_e0(points, critical)), critical};
}

/// Points of equal batch become one: mean value, and a sigma that holds both their own and their spread.
std::vector<BatchPoint> merged(std::vector<BatchPoint> points) {
  std::stable_sort(points.begin(), points.end(), [](const auto& a, const auto& b) { return a.batch < b.batch; });
  std::vector<BatchPoint> out;
  for (std::size_t i = 0; i < points.size();) {
    std::size_t end = i;
    double sum = 0, squared_sigma = 0;
    while (end < points.size() && points[end].batch == points[i].batch) {
      sum += points[end].value;
      squared_sigma = std::max(squared_sigma, points[end].sigma * points[end].sigma);
      ++end;
    }
    const double n = static_cast<double>(end - i), mean = sum / n;
    double spread = 0;
    for (std::size_t j = i; j < end; ++j) spread += (points[j].value - mean) * (points[j].value - mean);
    out.push_back({points[i].batch, mean, std::sqrt(squared_sigma + (n > 1 ? spread / (n - 1) : 0))});
    i = end;
  }
  double largest = 0;
  for (const auto& p : out) largest = std::max(largest, p.sigma);
  for (auto& p : out) {
    if (p.sigma == 0) p.sigma = largest;
  }
  return out;
}

}  // namespace

std::optional<Figure> EpochsModel::epochs(double batch) const {
  if (!(batch >= low_batch / 2 && batch <= 2 * high_batch)) return std::nullopt;
  const double value = e0 * (1 + batch / critical_batch);
  return Figure{value, value * std::max(0.0, 1 - 2 * leave_one_out), value * (1 + 2 * leave_one_out)};
}

EpochsModel fit_epochs(const std::vector<BatchPoint>& points) {
  LOCKSTEP_EXPECTS(points.size() >= 3);
  for (const auto& p : points) LOCKSTEP_EXPECTS(p.batch > 0 && p.value > 0);
  const Fit whole = fit(points);
  EpochsModel model{whole.e0, whole.critical_batch, points.front().batch, points.front().batch, 0};
  double sum = 0;
  for (std::size_t i = 0; i < points.size(); ++i) {
    model.low_batch = std::min(model.low_batch, points[i].batch);
    model.high_batch = std::max(model.high_batch, points[i].batch);
    std::vector<BatchPoint> others = points;
    others.erase(others.begin() + static_cast<std::ptrdiff_t>(i));
    const double error = fit(others).at(points[i].batch) / points[i].value - 1;
    sum += error * error;
  }
  model.leave_one_out = std::sqrt(sum / static_cast<double>(points.size()));
  return model;
}

std::optional<Figure> interpolate_top1(const std::vector<BatchPoint>& points, double batch) {
  for (const auto& p : points) LOCKSTEP_EXPECTS(p.batch > 0 && p.sigma >= 0);
  const auto line = merged(points);
  if (line.empty() || !(batch >= line.front().batch && batch <= line.back().batch)) return std::nullopt;
  const auto right = std::find_if(line.begin(), line.end(), [&](const auto& p) { return p.batch >= batch; });
  const BatchPoint b = *right, a = right == line.begin() ? b : *(right - 1);
  const double t = a.batch == b.batch ? 1 : std::log2(batch / a.batch) / std::log2(b.batch / a.batch);
  const double value = a.value + t * (b.value - a.value);
  const double sigma = std::hypot((1 - t) * a.sigma, t * b.sigma);
  const double half = 2 * sigma + 2 * t * (1 - t) * std::abs(b.value - a.value);
  return Figure{value, std::max(0.0, value - half), std::min(100.0, value + half)};
}

}  // namespace lockstep
