#include "core/accuracy/average.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "core/base/error.hpp"

namespace lockstep {

namespace {

/// AICc of the forms that may predict; infinite for the others.
std::vector<double> candidates(const std::vector<Fit>& fits) {
  std::vector<double> aicc;
  aicc.reserve(fits.size());
  for (const Fit& f : fits) aicc.push_back(f.form.blank ? std::numeric_limits<double>::infinity() : f.aicc);
  return aicc;
}

std::vector<double> weights_of(const std::vector<Fit>& fits) {
  const std::vector<double> w = akaike_weights(candidates(fits));
  std::vector<double> kept = candidates(fits);
  for (std::size_t i = 0; i < w.size(); ++i) {
    if (w[i] < FormAverage::kLeastWeight) kept[i] = std::numeric_limits<double>::infinity();
  }
  return akaike_weights(kept);
}

FormInterval mean_of(const std::vector<double>& weights, const std::vector<FormInterval>& each) {
  FormInterval mean;
  mean.extrapolated = each.front().extrapolated;  // a matter of the points, not of the form
  for (std::size_t i = 0; i < each.size(); ++i) mean.middle += weights[i] * each[i].middle;
  for (std::size_t i = 0; i < each.size(); ++i) {
    const FormInterval& f = each[i];
    mean.half += weights[i] * std::hypot(f.half, f.quantile * (f.middle - mean.middle));
    mean.quantile += weights[i] * f.quantile;
  }
  return mean;
}

double root_mean_square(const std::vector<double>& errors) {
  double sum = 0;
  for (double e : errors) sum += e * e;
  return std::sqrt(sum / static_cast<double>(errors.size()));
}

}  // namespace

std::vector<double> akaike_weights(const std::vector<double>& aicc) {
  LOCKSTEP_EXPECTS(!aicc.empty());
  const double least = *std::min_element(aicc.begin(), aicc.end());
  std::vector<double> w(aicc.size(), 0.0);
  if (std::isinf(least) && least > 0) {
    w.front() = 1;
    return w;
  }
  double sum = 0;
  for (std::size_t i = 0; i < w.size(); ++i) {
    w[i] =
        aicc[i] == least ? 1 : std::exp((least - aicc[i]) / 2);  // equal ones first: points met exactly give -infinity
    sum += w[i];
  }
  for (double& each : w) each /= sum;
  return w;
}

FormAverage::FormAverage(std::vector<Fit> fits) : fits_(std::move(fits)) {
  LOCKSTEP_EXPECTS(std::any_of(fits_.begin(), fits_.end(), [](const Fit& f) { return !f.form.blank; }));
  weights_ = weights_of(fits_);
  std::vector<std::size_t> used;
  for (std::size_t i = 0; i < fits_.size(); ++i) {
    if (weights_[i] > 0) used.push_back(i);
  }
  const Form& form = fits_[used.front()].form;
  const auto scale = [&](double value) { return form.logarithmic ? std::log(value) : value; };
  std::vector<double> residuals;
  for (std::size_t p = 0; p < points().size(); ++p) {
    double y = 0, aside = 0;
    std::vector<double> aicc;
    aicc.reserve(used.size());
    for (std::size_t i : used) {
      y += weights_[i] * scale(fits_[i].at(points()[p].batch, points()[p].epochs));
      if (!fits_[i].left_out.empty()) aicc.push_back(fits_[i].left_out_aicc[p]);
    }
    residuals.push_back(y - scale(points()[p].value));
    if (aicc.size() != used.size()) continue;
    const std::vector<double> w = akaike_weights(aicc);
    std::vector<FormInterval> each;
    for (std::size_t k = 0; k < used.size(); ++k) {
      const Fit& f = fits_[used[k]];
      aside += w[k] * f.left_out[p];
      if (f.left_out_intervals[p]) each.push_back(*f.left_out_intervals[p]);
    }
    left_out_.push_back(aside);
    left_out_bands_.push_back(each.size() == used.size() ? std::optional(in_unit(form, mean_of(w, each)))
                                                         : std::nullopt);
  }
  rms_ = root_mean_square(residuals);
  if (!left_out_.empty()) leave_one_out_ = root_mean_square(left_out_);
}

std::optional<AccuracyPrediction> FormAverage::predict(double batch, double epochs) const {
  std::vector<double> weights;
  std::vector<FormInterval> each;
  const Form* form = nullptr;
  for (std::size_t i = 0; i < fits_.size(); ++i) {
    if (weights_[i] <= 0) continue;
    const auto interval = fits_[i].interval(batch, epochs);
    if (!interval) return std::nullopt;
    weights.push_back(weights_[i]);
    each.push_back(*interval);
    form = &fits_[i].form;
  }
  LOCKSTEP_EXPECTS(form != nullptr);  // weights add up to one
  return in_unit(*form, mean_of(weights, each));
}

FormAverage fit_average(const std::vector<Form>& forms, const std::vector<AccuracyPoint>& points,
                        const std::string& where, bool all) {
  std::vector<Fit> fits = fit_all(forms, points, where, all);
  if (!all) {
    const std::vector<double> weights = weights_of(fits);
    for (std::size_t i = 0; i < fits.size(); ++i) {
      if (weights[i] > 0) fits[i] = fit(fits[i].form, points, where);
    }
  }
  return FormAverage(std::move(fits));
}

}  // namespace lockstep
