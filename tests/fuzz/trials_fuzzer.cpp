// Files of trials.
#include "experiments/trials/trials_spec.hpp"
#include "tests/fuzz/fuzz.hpp"

namespace lockstep::fuzz {

void one_input(const std::string& text) {
  const std::filesystem::path path = written("trials.toml", text);
  TrialsSpec spec;
  if (!accepted([&] { spec = read_trials(path); })) return;
  for (const TrialSeries& series : spec.series) {
    require(!series.batches.empty(), "a series without batches");
    require(series.tuned() ? !series.rates.empty() : spec.find(series.rates_of) != nullptr, "a series without rates");
  }
  require_round_trip(path, [](const std::filesystem::path& file) { return read_trials(file); });
}

}  // namespace lockstep::fuzz
