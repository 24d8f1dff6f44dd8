// Files of trials.
#include "experiments/trials/trials_spec.hpp"
#include "tests/fuzz/fuzz.hpp"

namespace lockstep::fuzz {
namespace {

void trials_file(std::string_view text) {
  const std::filesystem::path path = written("trials.toml", text);
  TrialsSpec spec;
  if (!accepted([&] { spec = read_trials(path); })) return;
  for (const TrialSeries& series : spec.series) {
    require(!series.batches.empty(), "a series without batches");
    require(series.tuned() ? !series.rates.empty() : spec.find(series.rates_of) != nullptr, "a series without rates");
  }
  require_round_trip(path, [](const std::filesystem::path& file) { return read_trials(file); });
}

}  // namespace
}  // namespace lockstep::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  lockstep::fuzz::trials_file(std::string(data, data + size));
  return 0;
}
