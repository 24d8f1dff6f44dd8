#include "core/accuracy/fit.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <set>
#include <utility>

#include <fmt/format.h>
#include <boost/math/distributions/students_t.hpp>
#include <boost/math/tools/minima.hpp>

#include "core/base/error.hpp"

namespace lockstep {

namespace {

using Vector = std::vector<double>;

struct Weighted {
  std::vector<AccuracyPoint> points;
  Vector weights;  ///< 1 / spread in the unit of the residuals, or 1
};

double scale_of(const Form& form, const AccuracyPoint& p) { return form.logarithmic ? std::log(p.value) : p.value; }

bool known_spread(const std::vector<AccuracyPoint>& points) {
  return std::all_of(points.begin(), points.end(), [](const auto& p) { return p.sigma > 0; });
}

/// Epochs to a target are not weighted: their spread over seeds is far below the spread over recipes.
Vector weights_of(const Form& form, const std::vector<AccuracyPoint>& points) {
  Vector w(points.size(), 1.0);
  if (form.logarithmic || !known_spread(points)) return w;
  for (std::size_t i = 0; i < w.size(); ++i) w[i] = 1 / points[i].sigma;
  return w;
}

std::pair<double, double> place(const AccuracyPoint& p) { return {p.batch, p.epochs}; }

std::vector<AccuracyPoint> ordered(std::vector<AccuracyPoint> points) {
  std::stable_sort(points.begin(), points.end(), [](const auto& a, const auto& b) { return place(a) < place(b); });
  return points;
}

std::size_t places(const std::vector<AccuracyPoint>& points) {
  std::set<std::pair<double, double>> seen;
  for (const auto& p : points) seen.insert(place(p));
  return seen.size();
}

bool enough(const Form& form, const std::vector<AccuracyPoint>& points) {
  return places(points) > form.parameters() && points.size() >= form.parameters() + 2;
}

struct Solution {
  Vector linear;
  double squares = std::numeric_limits<double>::infinity();
};

/// Best linear constants at given shapes: one or two of them, the second not negative.
Solution solve(const Form& form, const Weighted& data, const Vector& shapes) {
  double a00 = 0, a01 = 0, a11 = 0, r0 = 0, r1 = 0;
  std::vector<Terms> terms;
  terms.reserve(data.points.size());
  const bool two = form.constants.size() == 2;
  for (std::size_t i = 0; i < data.points.size(); ++i) {
    terms.push_back(form.terms(data.points[i], shapes));
    const Terms& t = terms.back();
    const double w = data.weights[i] * data.weights[i], y = scale_of(form, data.points[i]) - t.offset;
    a00 += w * t.basis[0] * t.basis[0];
    r0 += w * t.basis[0] * y;
    if (!two) continue;
    a01 += w * t.basis[0] * t.basis[1];
    a11 += w * t.basis[1] * t.basis[1];
    r1 += w * t.basis[1] * y;
  }
  if (!std::isfinite(a00 + a01 + a11 + r0 + r1) || a00 <= 0) return {};
  Solution s;
  s.linear = {r0 / a00};
  if (two) {
    const double det = a00 * a11 - a01 * a01;
    const double second = det > 1e-12 * a00 * a11 ? (a00 * r1 - a01 * r0) / det : 0;
    s.linear.push_back(std::max(0.0, second));
    s.linear[0] = (r0 - a01 * s.linear[1]) / a00;
  }
  s.squares = 0;
  for (std::size_t i = 0; i < data.points.size(); ++i) {
    double y = terms[i].offset;
    for (std::size_t c = 0; c < s.linear.size(); ++c) y += s.linear[c] * terms[i].basis[c];
    const double r = data.weights[i] * (scale_of(form, data.points[i]) - y);
    s.squares += r * r;
  }
  return s;
}

struct Found {
  Vector shapes;
  Solution solution;
};

/// Least squares over the logarithm of shape `d` and, nested, of all before it: a profile, because two shapes often trade
/// off along a narrow bent valley in which a search in both at once gets stuck.
Found search(const Form& form, const Weighted& data, std::size_t d, Vector& logs) {
  if (d == 0) {
    Found here;
    for (double l : logs) here.shapes.push_back(std::exp(l));
    here.solution = solve(form, data, here.shapes);
    return here;
  }
  const ShapeRange& range = form.shapes[d - 1];
  const double low = std::log(range.low), high = std::log(range.high);
  Found best;
  double best_log = low;
  const auto cost = [&](double l) {
    logs[d - 1] = l;
    Found f = search(form, data, d - 1, logs);
    const double squares = f.solution.squares;
    if (squares < best.solution.squares) {
      best = std::move(f);
      best_log = l;
    }
    return squares;
  };
  const int grid = form.shapes.size() > 1 ? 20 : 40;
  for (int i = 0; i <= grid; ++i) cost(low + (high - low) * i / grid);
  const double step = (high - low) / grid;
  constexpr int kBits = std::numeric_limits<double>::digits / 2;
  const double middle = best_log;
  boost::math::tools::brent_find_minima(cost, std::max(low, middle - step), std::min(high, middle + step), kBits);
  return best;
}

Found search(const Form& form, const Weighted& data) {
  Vector logs(form.shapes.size());
  return search(form, data, form.shapes.size(), logs);
}

double evaluate(const Form& form, const Vector& shapes, const Vector& linear, const AccuracyPoint& at) {
  const Terms t = form.terms(at, shapes);
  double y = t.offset;
  for (std::size_t c = 0; c < linear.size(); ++c) y += linear[c] * t.basis[c];
  return y;
}

/// Derivatives with respect to the constants that the points determine: shapes (by their logarithm) away from the ends of their ranges, and the
/// linear ones, the second only if it is not held at 0.
Vector gradient(const Fit& f, const AccuracyPoint& at) {
  const bool bends = f.linear.size() < 2 || f.linear[1] > 0;
  const auto basis = f.form.terms(at, f.shapes).basis;
  Vector g{basis[0]};
  if (f.linear.size() == 2 && bends) g.push_back(basis[1]);
  for (std::size_t d = 0; bends && d < f.shapes.size(); ++d) {
    constexpr double kStep = 1e-4;
    if (f.shapes[d] <= f.form.shapes[d].low * 1.001 || f.shapes[d] >= f.form.shapes[d].high / 1.001) continue;
    Vector up = f.shapes, down = f.shapes;
    up[d] *= std::exp(kStep);
    down[d] *= std::exp(-kStep);
    g.push_back((evaluate(f.form, up, f.linear, at) - evaluate(f.form, down, f.linear, at)) / (2 * kStep));
  }
  return g;
}

/// j' (A)^-1 j by Cholesky; directions without a pivot are held, that is left out.
double leverage(std::vector<Vector> a, const Vector& j) {
  const std::size_t n = j.size();
  Vector y = j;
  std::vector<bool> held(n, false);
  double sum = 0;
  const std::vector<Vector> original = a;
  for (std::size_t k = 0; k < n; ++k) {
    for (std::size_t m = 0; m < k; ++m) {
      if (held[m]) continue;
      y[k] -= a[k][m] * y[m];
      a[k][k] -= a[k][m] * a[k][m];
    }
    held[k] = a[k][k] <= 1e-10 * original[k][k];
    if (held[k]) continue;
    const double pivot = std::sqrt(a[k][k]);
    y[k] /= pivot;
    sum += y[k] * y[k];
    for (std::size_t i = k + 1; i < n; ++i) {
      for (std::size_t m = 0; m < k; ++m) {
        if (!held[m]) a[i][k] -= a[i][m] * a[k][m];
      }
      a[i][k] /= pivot;
    }
  }
  return sum;
}

/// The spread of runs at a new batch: between the neighbours' over log batch.
double spread_at(const std::vector<AccuracyPoint>& points, double batch) {
  if (batch <= points.front().batch) return points.front().sigma;
  if (batch >= points.back().batch) return points.back().sigma;
  const auto right = std::find_if(points.begin(), points.end(), [&](const auto& p) { return p.batch >= batch; });
  const auto left = right - 1;
  const double t = std::log(batch / left->batch) / std::log(right->batch / left->batch);
  return (1 - t) * left->sigma + t * right->sigma;
}

Fit without_errors(const Form& form, const std::vector<AccuracyPoint>& points) {
  const Weighted data{points, weights_of(form, points)};
  Found found = search(form, data);
  LOCKSTEP_EXPECTS(std::isfinite(found.solution.squares));
  Fit f;
  f.form = form;
  f.points = points;
  f.shapes = std::move(found.shapes);
  f.linear = std::move(found.solution.linear);
  const double n = static_cast<double>(points.size()), k = static_cast<double>(form.parameters()) + 1;
  double squares = 0;
  for (const auto& p : points) {
    const double r = evaluate(form, f.shapes, f.linear, p) - scale_of(form, p);
    squares += r * r;
  }
  f.rms = std::sqrt(squares / n);
  f.aicc = n > k + 1 ? n * std::log(found.solution.squares / n) + 2 * k + 2 * k * (k + 1) / (n - k - 1)
                     : std::numeric_limits<double>::infinity();
  return f;
}

/// Root of the weighted squares over `divisor`.
double weighted_rms(const Vector& errors, const Vector& weights, double divisor) {
  double sum = 0;
  for (std::size_t i = 0; i < errors.size(); ++i) sum += errors[i] * errors[i] * weights[i] * weights[i];
  return std::sqrt(sum / divisor);
}

}  // namespace

double Fit::at(double batch, double epochs) const {
  const double y = evaluate(form, shapes, linear, {batch, epochs, 0, 0});
  return form.logarithmic ? std::exp(y) : y;
}

double Fit::low_batch() const { return points.front().batch; }
double Fit::high_batch() const { return points.back().batch; }
double Fit::low_epochs() const {
  return std::min_element(points.begin(), points.end(), [](auto& a, auto& b) { return a.epochs < b.epochs; })->epochs;
}
double Fit::high_epochs() const {
  return std::max_element(points.begin(), points.end(), [](auto& a, auto& b) { return a.epochs < b.epochs; })->epochs;
}

std::vector<std::pair<std::string, double>> Fit::constants() const {
  std::vector<std::pair<std::string, double>> out;
  for (std::size_t d = 0; d < shapes.size(); ++d) out.emplace_back(form.shapes[d].name, shapes[d]);
  for (std::size_t c = 0; c < linear.size(); ++c)
    out.emplace_back(form.constants[c], form.logarithmic ? std::exp(linear[c]) : linear[c]);
  return out;
}

std::optional<FormInterval> Fit::interval(double batch, double epochs) const {
  const bool timeless = form.logarithmic;
  const auto within = [](double x, double low, double high) { return x >= low && x <= high; };
  if (!within(batch, low_batch() / 2, 2 * high_batch())) return std::nullopt;
  if (!timeless && !within(epochs, low_epochs() / 2, 2 * high_epochs())) return std::nullopt;
  const AccuracyPoint here{batch, epochs, 0, 0};
  const Vector weights = weights_of(form, points);
  Vector errors;
  std::vector<Vector> normal;
  std::size_t determined = 0;
  for (std::size_t i = 0; i < points.size(); ++i) {
    errors.push_back(evaluate(form, shapes, linear, points[i]) - scale_of(form, points[i]));
    const Vector g = gradient(*this, points[i]);
    determined = g.size();
    normal.resize(determined, Vector(determined));
    for (std::size_t a = 0; a < determined; ++a) {
      for (std::size_t b = 0; b < determined; ++b) normal[a][b] += weights[i] * weights[i] * g[a] * g[b];
    }
  }
  const double n = static_cast<double>(points.size()), freedom = n - static_cast<double>(form.parameters());
  double s = weighted_rms(errors, weights, freedom);
  if (!left_out.empty()) s = std::max(s, weighted_rms(left_out, weights, n));
  const double spread = !form.logarithmic && known_spread(points) ? spread_at(points, batch) : 1;
  const double t = boost::math::quantile(boost::math::students_t(freedom), 0.975);
  const double half = t * s * std::sqrt(spread * spread + leverage(normal, gradient(*this, here)));
  const bool outside =
      !within(batch, low_batch(), high_batch()) || (!timeless && !within(epochs, low_epochs(), high_epochs()));
  return FormInterval{evaluate(form, shapes, linear, here), half, t, outside};
}

AccuracyPrediction in_unit(const Form& form, const FormInterval& i) {
  const double low = i.middle - i.half, high = i.middle + i.half;
  if (form.logarithmic) return {{std::exp(i.middle), std::exp(low), std::exp(high)}, i.extrapolated};
  return {{i.middle, std::max(0.0, low), std::min(100.0, high)}, i.extrapolated};
}

std::optional<AccuracyPrediction> Fit::predict(double batch, double epochs) const {
  const auto i = interval(batch, epochs);
  if (!i) return std::nullopt;
  return in_unit(form, *i);
}

Fit fit(const Form& form, const std::vector<AccuracyPoint>& given, const std::string& where, bool errors) {
  for (const auto& p : given) LOCKSTEP_EXPECTS(p.batch > 0 && p.value > 0 && p.sigma >= 0);
  const std::vector<AccuracyPoint> points = ordered(given);
  if (!enough(form, points)) {
    throw ConfigError(
        where, "points",
        fmt::format("{} points of {} different batches or lengths; the form {} needs at least {} of {}", points.size(),
                    places(points), form.formula, form.parameters() + 2, form.parameters() + 1));
  }
  Fit whole = without_errors(form, points);
  if (!errors) return whole;
  for (std::size_t i = 0; i < points.size(); ++i) {
    std::vector<AccuracyPoint> others = points;
    others.erase(others.begin() + static_cast<std::ptrdiff_t>(i));
    const Fit f = without_errors(form, others);
    const AccuracyPoint& p = points[i];
    whole.left_out.push_back(evaluate(form, f.shapes, f.linear, p) - scale_of(form, p));
    whole.left_out_aicc.push_back(f.aicc);
    whole.left_out_intervals.push_back(f.interval(p.batch, p.epochs));
  }
  whole.leave_one_out = weighted_rms(whole.left_out, Vector(points.size(), 1.0), static_cast<double>(points.size()));
  return whole;
}

std::vector<Fit> fit_all(const std::vector<Form>& forms, const std::vector<AccuracyPoint>& points,
                         const std::string& where, bool errors) {
  std::vector<Fit> fits;
  for (const Form& form : forms) {
    if (!fits.empty() && !enough(form, points)) continue;
    fits.push_back(fit(form, points, where, errors));
  }
  return fits;
}

}  // namespace lockstep
