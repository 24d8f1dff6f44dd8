// How far a prediction can be trusted: a 90 % interval, and what it comes from.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "experiments/compose.hpp"
#include "experiments/parallel.hpp"

namespace lockstep {

/// A relative error that the model is known to have: ln(true / predicted), from its 5th to its 95th percentile. The
/// prediction is not corrected for the mean error, so the band always holds 0.
struct ErrorBand {
  double low = 0, high = 0;
  std::string source;
  bool none() const { return low == 0 && high == 0; }
};

/// Errors of the model itself, each derived from single GPUs or microbenchmarks alone (experiments/validation/model_error.hpp).
struct ModelError {
  ErrorBand batch;       ///< of compute time, for each halving of the images per GPU from the anchor's batch
  ErrorBand network;     ///< of compute time, if the model is of another family than the anchor's
  ErrorBand software;    ///< of compute time, if the run's software is not the anchor's
  ErrorBand drift;       ///< of compute time, per square root of a year from the anchor's release to the run's
  ErrorBand beyond;      ///< of compute time, if the run's release lies between two anchors': as far as to the other
  ErrorBand unanchored;  ///< of compute time, without an anchor at the run's precision
  ErrorBand collective;  ///< of the time of collectives
  ErrorBand
      run_to_run;  ///< of a run's steps: equal programs on equal machines differ so; the anchor was such a run too
};

/// Something that is not known exactly. `set` moves it: to the low end of its band at -1, to the high end at +1, in
/// proportion between and beyond.
///
/// A band low .. value .. high is read as the 5th percentile, the median and the 95th of a distribution made of two
/// halves of normals; so `set` at z / 1.645 of a standard normal z draws from it. All are taken as independent.
struct Uncertain {
  std::string name;  ///< the key that sets it ("cluster_file.node.nic.rate"), or "model: ..." for an error of the model
  std::string source;  ///< of the band; may be empty
  bool noise = false;  ///< matters only with noise on
  std::function<void(Inputs&, double)> set;
};

/// Every banded parameter that this run uses: links, latencies, anchors, overheads, noise.
std::vector<Uncertain> banded_parameters(const Inputs& inputs);
/// The errors of the model that apply to this run. run_to_run is there as that of the anchor; that of the predicted run
/// itself moves no parameter and is spread_of()'s `extra`.
std::vector<Uncertain> model_errors(const Inputs& inputs, const ModelError& error);

/// A quantity as a function of a change to all inputs that it depends on. `noisy`: with the run's noise, else one step
/// without.
using Quantity = std::function<double(const std::function<void(Inputs&)>& change, bool noisy)>;

/// The steady step of a run, in seconds.
Quantity step_quantity(const Inputs& inputs);

struct Effect90 {
  std::string name, source;
  double at_low = 0, at_high = 0;  ///< relative change of the quantity at either end of the band
};
struct Spread {
  double low = 0, high = 0;       ///< relative, low <= 0 <= high: the 90 % interval
  std::vector<Effect90> effects;  ///< largest first
};

/// The quantity with each of `list` at both ends of its band, one at a time, on up to `threads` threads. Each side of the interval is
/// the root of the sum of squares of the shifts to that side and of `extra`: exact for a quantity that is linear in
/// independent normal parameters, whatever their number. Preferred to drawing all of them at random, which needs
/// hundreds of steps for the same accuracy of the ends and tells less; a test compares the two. Cost: 2 evaluations each.
Spread spread_of(const std::vector<Uncertain>& list, const ErrorBand& extra, bool noise_on, const Quantity& quantity,
                 const Progress& progress, std::size_t threads = usable_threads());

/// What the steady step would be if one parameter were at the end of its band.
struct Sensitivity {
  std::string parameter, source;
  Time at_low, at_high;
};
struct Interval {
  Time low, high;                       ///< 90 %
  std::vector<Sensitivity> parameters;  ///< largest effect first
};
/// The interval of a steady step: `error` is that of the model for this run. Cost: 2 steps per parameter, noise-free ones
/// except for the parameters of the noise, with the run's fold.
Interval predict_interval(const Inputs& inputs, const StepPrediction& centre, const ModelError& error,
                          const Progress& progress, std::size_t threads = usable_threads());

}  // namespace lockstep
