#include "core/accuracy/form.hpp"

#include <cmath>
#include <utility>

namespace lockstep {

namespace {

using Shapes = std::vector<double>;

// Wide enough that a bound is only met by data that do not determine the constant.
const ShapeRange kBatch{"Bc", 16, 16e6};
const ShapeRange kPower{"p", 0.2, 6};

Form in_log(std::string name, std::string formula, std::vector<ShapeRange> shapes, std::string scale,
            std::function<double(double batch, const Shapes&)> log_factor) {
  return {std::move(name),
          std::move(formula),
          true,
          std::move(shapes),
          {std::move(scale)},
          [log_factor = std::move(log_factor)](const AccuracyPoint& at, const Shapes& s) {
            return Terms{log_factor(at.batch, s), {1}};
          }};
}

/// A0 - k f(B)
Form drop(std::string name, std::string formula, std::vector<ShapeRange> shapes,
          std::function<double(double, const Shapes&)> f) {
  return {std::move(name),
          std::move(formula),
          false,
          std::move(shapes),
          {"A0", "k"},
          [f = std::move(f)](const AccuracyPoint& at, const Shapes& s) {
            return Terms{0, {1, -f(at.batch, s)}};
          }};
}

double square(double x) { return x * x; }

}  // namespace

std::vector<Form> epochs_forms() {
  return {
      in_log("critical batch", "E0 (1 + B/Bc)", {kBatch}, "E0",
             [](double b, const Shapes& s) { return std::log1p(b / s[0]); }),
      in_log("critical batch, power", "E0 (1 + (B/Bc)^p)", {kBatch, kPower}, "E0",
             [](double b, const Shapes& s) { return std::log1p(std::pow(b / s[0], s[1])); }),
      in_log("exponential", "E0 exp(B/Bc), from Bc on E0 e B/Bc", {kBatch}, "E0",
             [](double b, const Shapes& s) { return b < s[0] ? b / s[0] : 1 + std::log(b / s[0]); }),
      in_log("hyperbola", "E0 sqrt(1 + (B/Bc)^2)", {kBatch}, "E0",
             [](double b, const Shapes& s) { return 0.5 * std::log1p(square(b / s[0])); }),
      in_log("power", "E1 (B/4096)^q", {{"q", 1e-4, 4}}, "E1",
             [](double b, const Shapes& s) { return s[0] * std::log(b / 4096); }),
  };
}

std::vector<Form> fixed_epochs_forms() {
  return {
      drop("hyperbola", "A0 - k (sqrt(1 + (B/Bc)^2) - 1)", {kBatch},
           [](double b, const Shapes& s) { return std::sqrt(1 + square(b / s[0])) - 1; }),
      drop("smooth square of the logarithm", "A0 - k log2(1 + (B/Bc)^2)^2", {kBatch},
           [](double b, const Shapes& s) { return square(std::log2(1 + square(b / s[0]))); }),
      {"logistic",
       "A0 / (1 + (B/Bc)^p)",
       false,
       {kBatch, kPower},
       {"A0"},
       [](const AccuracyPoint& at, const Shapes& s) {
         return Terms{0, {1 / (1 + std::pow(at.batch / s[0], s[1]))}};
       }},
      drop("square of the logarithm", "A0 - k max(0, log2(B/Bc))^2", {kBatch},
           [](double b, const Shapes& s) { return square(std::max(0.0, std::log2(b / s[0]))); }),
      drop("power", "A0 - k (B/8192)^p", {kPower}, [](double b, const Shapes& s) { return std::pow(b / 8192, s[0]); }),
      {"error",
       "100 - e0 (1 + (B/Bc)^p)",
       false,
       {kBatch, kPower},
       {"e0"},
       [](const AccuracyPoint& at, const Shapes& s) {
         return Terms{100, {-(1 + std::pow(at.batch / s[0], s[1]))}};
       }},
      drop("effective epochs", "A0 - k (1 + B/Bc)^p", {kBatch, kPower},
           [](double b, const Shapes& s) { return std::pow(1 + b / s[0], s[1]); }),
  };
}

std::vector<Form> effective_epochs_forms(std::optional<double> critical_batch) {
  constexpr double kUnit = 90;  // k is the loss against Ainf of a run of 90 effective epochs
  const ShapeRange g{"g", 0.1, 6};
  const auto form = [&](std::string name, std::string formula, std::vector<ShapeRange> shapes, bool free_g) {
    return Form{std::move(name),
                std::move(formula),
                false,
                std::move(shapes),
                {"Ainf", "k"},
                [critical_batch, free_g](const AccuracyPoint& at, const Shapes& s) {
                  const double critical = critical_batch ? *critical_batch : s.front();
                  const double effective = at.epochs / (1 + at.batch / critical);
                  return Terms{0, {1, -std::pow(kUnit / effective, free_g ? s.back() : 1.0)}};
                }};
  };
  const Form constant{
      "constant", "Ainf", false, {}, {"Ainf"}, [](const AccuracyPoint&, const Shapes&) {
                        return Terms{0, {1}}; }, true};
  if (critical_batch) {
    return {form("effective epochs, g = 1", "Ainf - k 90 / Eeff", {}, false),
            form("effective epochs", "Ainf - k (90 / Eeff)^g", {g}, true), constant};
  }
  return {form("effective epochs", "Ainf - k (90 / Eeff)^g", {kBatch, g}, true),
          form("effective epochs, g = 1", "Ainf - k 90 / Eeff", {kBatch}, false), constant};
}

}  // namespace lockstep
