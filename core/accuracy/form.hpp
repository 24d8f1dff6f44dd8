// Forms of accuracy and epochs against batch size: what a fit chooses among. Sources: docs of each function.
#pragma once

#include <array>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace lockstep {

/// One published or measured result.
struct AccuracyPoint {
  double batch = 0;   ///< images per step, > 0
  double epochs = 0;  ///< length of the run; not read by forms of epochs to a target
  double value = 0;   ///< epochs to target, or top-1 in percent; > 0
  double sigma = 0;   ///< standard deviation over runs in the unit of `value`, 0 = unknown
};

/// A constant that the form is not linear in, with the range that is searched (logarithmically).
struct ShapeRange {
  std::string name;
  double low = 0, high = 0;
};

/// y = offset + c0 basis[0] + c1 basis[1] at given shapes; y is the value, or its logarithm.
struct Terms {
  double offset = 0;
  std::array<double, 2> basis{};
};

/// At most two shapes and two linear constants. The second linear constant is never negative: a form cannot bend the
/// wrong way. In logarithmic forms the only linear constant is the logarithm of a scale.
struct Form {
  std::string name;
  std::string formula;  ///< for people: "E0 (1 + B / Bc)"
  bool logarithmic = false;
  std::vector<ShapeRange> shapes;
  std::vector<std::string> constants;  ///< names of the linear ones; of the scale itself in a logarithmic form
  std::function<Terms(const AccuracyPoint& at, const std::vector<double>& shapes)> terms;
  bool blank = false;  ///< knows nothing of the batch: shown beside the others, never predicts

  std::size_t parameters() const { return shapes.size() + constants.size(); }
};

/// Epochs to a target against batch, residuals in log E. First E0 (1 + B/Bc), that is S = Smin (1 + Bc/B) in steps
/// (McCandlish et al. 2018, arXiv:1812.06162, equation for (S/Smin - 1)(E/Emin - 1) = 1); then E0 (1 + (B/Bc)^p),
/// E0 exp(B/Bc) while its steps E/B still fall, that is up to Bc, and constant steps beyond (maximal data parallelism: Shallue et al., arXiv:1811.03600), E0 sqrt(1 + (B/Bc)^2) and E1 (B/4096)^q, working alternatives.
std::vector<Form> epochs_forms();

/// Top-1 of the untuned linear rule at a fixed number of epochs, residuals in percentage points. First the hyperbola
/// A0 - k (sqrt(1 + (B/Bc)^2) - 1): flat, then linear; then six working alternatives. Bc of these curves is a scale of
/// stability, not a critical batch in the sense of McCandlish.
std::vector<Form> fixed_epochs_forms();

/// Top-1 against batch and epochs: A = Ainf - k (90 / Eeff)^g with effective epochs Eeff = E / (1 + B/Bc): a run at
/// batch B counts as a shorter run at small batch. With `critical_batch` Bc is that of an epochs-to-target fit;
/// otherwise it is fitted too. First g = 1 where Bc is given (g cannot be told from points of one length), else g free;
/// then the other of the two, and a blank constant, which says what the batch explains at all.
std::vector<Form> effective_epochs_forms(std::optional<double> critical_batch);

}  // namespace lockstep
