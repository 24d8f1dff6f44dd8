// Least squares for the forms of form.hpp, with honest errors and bands.
#pragma once

#include <optional>
#include <vector>

#include "core/accuracy/form.hpp"
#include "core/run/world.hpp"

namespace lockstep {

/// A prediction with its band, in the unit of the points.
struct AccuracyPrediction {
  Figure figure;
  bool extrapolated = false;  ///< outside the range of the points
};

/// A prediction in the scale of the residuals (logarithm or value).
struct FormInterval {
  double middle = 0, half = 0;
  double quantile = 0;  ///< of Student, in `half`
  bool extrapolated = false;
};

/// Constants of a form for one set of points. They belong to the recipe of those points.
struct Fit {
  Form form;
  std::vector<AccuracyPoint> points;  ///< ordered by batch, then epochs
  std::vector<double> shapes, linear;
  double rms = 0;  ///< of the residuals: relative (log) in logarithmic forms, else in the unit of the value
  double aicc =
      0;  ///< n log(weighted mean square) + 2 K + 2 K (K + 1) / (n - K - 1), K = parameters + 1; infinite if n <= K + 1
  double leave_one_out = 0;           ///< root mean square of each point against a fit to all others; unit as rms
  std::vector<double> left_out;       ///< those errors: prediction minus point (log ratio in logarithmic forms)
  std::vector<double> left_out_aicc;  ///< of the fits to the others
  std::vector<std::optional<FormInterval>> left_out_intervals;  ///< interval() of the fits to the others, at each point

  /// Form at this batch and length, without any question of range.
  double at(double batch, double epochs) const;
  /// 95 % prediction interval for one more result of this recipe: t s sqrt(w^2 + j' (J'J)^-1 j), with s the larger of the residuals'
  /// standard deviation and the leave-one-out error (a form chosen after seeing the points makes its own residuals too
  /// small), t of Student with n - p degrees of freedom, w the spread of runs there (1 if unknown), J by differences;
  /// constants that the points do not determine are held. Extrapolated outside the points' range of batch or, for forms
  /// of top-1, epochs; nothing beyond half the least or twice the largest of either, where no form can be trusted.
  std::optional<FormInterval> interval(double batch, double epochs) const;
  /// The same in the unit of the points; top-1 is cut at 0 and 100.
  std::optional<AccuracyPrediction> predict(double batch, double epochs) const;
  /// Ranges of the points.
  double low_batch() const, high_batch() const, low_epochs() const, high_epochs() const;
  /// Named constants, shapes first; a logarithmic form's scale itself, not its logarithm.
  std::vector<std::pair<std::string, double>> constants() const;
};

/// Fits `form`: linear constants in closed form, shapes by a logarithmic grid and Brent's method, nested (deterministic). Residuals count with 1 / sigma where every point knows its spread, else equally. Results of
/// equal batch and length stay apart: their spread is information. Needs parameters() + 2 points at parameters() + 1 or more places: ConfigError (where, "points"), because users bring
/// points. Cost: about 60 evaluations of all points for one shape, 1,800 for two, times n + 1. Pure.
/// Without `errors` nothing is left out: leave_one_out is 0, bands are those of the residuals alone.
Fit fit(const Form& form, const std::vector<AccuracyPoint>& points, const std::string& where, bool errors = true);

AccuracyPrediction in_unit(const Form& form, const FormInterval& interval);

/// All `forms`. Forms with too many constants for the points are left out, unless it is the first (ConfigError).
std::vector<Fit> fit_all(const std::vector<Form>& forms, const std::vector<AccuracyPoint>& points,
                         const std::string& where, bool errors = true);

}  // namespace lockstep
