#include "core/model/loss.hpp"

#include <algorithm>
#include <cmath>

#include "core/base/error.hpp"

namespace lockstep {

namespace {

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
  LOCKSTEP_EXPECTS(!logits.empty() && label >= 0 && label < static_cast<std::int64_t>(logits.size()));
  const double normaliser = log_sum_exp(logits);
  double loss = 0;
  for (std::size_t k = 0; k < logits.size(); ++k) {
    loss -= target(k, label, smoothing, logits.size()) * (logits[k] - normaliser);
  }
  return loss;
}

void cross_entropy_gradient(std::span<const double> logits, std::int64_t label, double smoothing,
                            std::span<double> gradient) {
  LOCKSTEP_EXPECTS(gradient.size() == logits.size() && !logits.empty());
  const double normaliser = log_sum_exp(logits);
  for (std::size_t k = 0; k < logits.size(); ++k) {
    gradient[k] = std::exp(logits[k] - normaliser) - target(k, label, smoothing, logits.size());
  }
}

bool top1(std::span<const double> logits, std::int64_t label) {
  return std::max_element(logits.begin(), logits.end()) - logits.begin() == label;
}

}  // namespace lockstep
