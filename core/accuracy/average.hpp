// One prediction of all forms together, so that no form has to be chosen after seeing the points.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "core/accuracy/fit.hpp"

namespace lockstep {

/// Weights exp(-delta / 2), normalised, with delta = AICc above the least (Akaike weights: Burnham & Anderson, "Model
/// Selection and Multimodel Inference", 2002). Infinite AICc gets 0; if all are infinite the first gets 1. Not empty.
std::vector<double> akaike_weights(const std::vector<double>& aicc);

/// The mean of forms fitted to the same points, weighted by Akaike; of the logarithm for logarithmic forms. Blank forms,
/// and forms of less than kLeastWeight on all points, get 0. Its leave-one-out errors are those of the whole procedure:
/// forms fitted and weighted without the point (only which forms fall under kLeastWeight is decided with it).
class FormAverage {
 public:
  static constexpr double kLeastWeight = 0.01;

  /// `fits` to the same points, at least one of them not blank. Leave-one-out errors need fits with errors.
  explicit FormAverage(std::vector<Fit> fits);

  const std::vector<Fit>& fits() const { return fits_; }
  const std::vector<double>& weights() const { return weights_; }
  const std::vector<AccuracyPoint>& points() const { return fits_.front().points; }
  double low_batch() const { return fits_.front().low_batch(); }
  double high_batch() const { return fits_.front().high_batch(); }

  /// 95 % prediction interval: half = sum w_i sqrt(half_i^2 + t_i^2 (y_i - y)^2), which counts the disagreement of the
  /// forms as uncertainty (Burnham & Anderson 2002, unconditional standard error). Refuses where Fit::interval does.
  std::optional<AccuracyPrediction> predict(double batch, double epochs) const;

  /// Root mean square of the residuals, and of each point against the procedure without it; unit as Fit::rms.
  double rms() const { return rms_; }
  double leave_one_out() const { return leave_one_out_; }
  /// Per point: predicted minus published without it, and the band (none: too far from the others).
  const std::vector<double>& left_out() const { return left_out_; }
  const std::vector<std::optional<AccuracyPrediction>>& left_out_bands() const { return left_out_bands_; }

 private:
  std::vector<Fit> fits_;
  std::vector<double> weights_, left_out_;
  std::vector<std::optional<AccuracyPrediction>> left_out_bands_;
  double rms_ = 0, leave_one_out_ = 0;
};

/// Fits `forms` and averages them; with `all` errors of every form are computed, else only those of the forms that
/// predict, which gives the same average in a tenth of the time. ConfigError as fit().
FormAverage fit_average(const std::vector<Form>& forms, const std::vector<AccuracyPoint>& points,
                        const std::string& where, bool all);

}  // namespace lockstep
