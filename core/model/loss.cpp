#include "core/model/loss.hpp"

#include <algorithm>
#include <cmath>

#include "core/base/error.hpp"

namespace lockstep {

namespace {

void expect_ranges(std::span<const double> logits, std::int64_t label, double smoothing) {
  LOCKSTEP_EXPECTS(label >= 0 && label < static_cast<std::int64_t>(logits.size()));
  LOCKSTEP_EXPECTS(smoothing >= 0 && smoothing < 1);
}

/// log(sum exp(logits)).
double log_sum_exp(std::span<const double> logits) {
  const double largest = *std::max_element(logits.begin(), logits.end());
  double sum = 0;
  for (double z : logits) sum += std::exp(z - largest);
  return largest + std::log(sum);
}

double target(std::size_t k, std::int64_t label, double smoothing, std::size_t classes) {
  return (static_cast<std::int64_t>(k) == label ? 1 - smoothing : 0) + smoothing / static_cast<double>(classes);
}

}  // namespace

double cross_entropy(std::span<const double> logits, std::int64_t label, double smoothing) {
  expect_ranges(logits, label, smoothing);
  const double normaliser = log_sum_exp(logits);
  double loss = 0;
  for (std::size_t k = 0; k < logits.size(); ++k) {
    const double q = target(k, label, smoothing, logits.size());
    if (q > 0) loss -= q * (logits[k] - normaliser);
  }
  return loss;
}

void cross_entropy_gradient(std::span<const double> logits, std::int64_t label, double smoothing,
                            std::span<double> gradient) {
  expect_ranges(logits, label, smoothing);
  LOCKSTEP_EXPECTS(gradient.size() == logits.size());
  const double normaliser = log_sum_exp(logits);
  for (std::size_t k = 0; k < logits.size(); ++k) {
    gradient[k] = std::exp(logits[k] - normaliser) - target(k, label, smoothing, logits.size());
  }
}

bool top1(std::span<const double> logits, std::int64_t label) {
  expect_ranges(logits, label, 0);
  const auto right = static_cast<std::size_t>(label);
  for (std::size_t k = 0; k < logits.size(); ++k) {
    const bool loses = k < right ? logits[k] < logits[right] : logits[k] <= logits[right];
    if (!loses) return false;  // also where either is NaN
  }
  return true;
}

std::int64_t top1_count(std::span<const double> logits, std::span<const std::int64_t> labels) {
  if (labels.empty()) return 0;
  LOCKSTEP_EXPECTS(!logits.empty() && logits.size() % labels.size() == 0);
  const std::size_t classes = logits.size() / labels.size();
  std::int64_t right = 0;
  for (std::size_t n = 0; n < labels.size(); ++n) right += top1(logits.subspan(n * classes, classes), labels[n]);
  return right;
}

}  // namespace lockstep
