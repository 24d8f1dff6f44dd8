#include "experiments/cli/trials.hpp"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <optional>

#include <fmt/format.h>

#include "core/base/error.hpp"
#include "core/base/units_text.hpp"
#include "experiments/config_io/config_io.hpp"
#include "experiments/output/report.hpp"
#include "experiments/parallel.hpp"
#include "experiments/trials/trial_runner.hpp"
#include "experiments/trials/trial_table.hpp"
#include "real/comm/transport.hpp"

namespace lockstep::cli {

namespace {

namespace fs = std::filesystem;

std::string text_of(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

std::string description(const TrialsOptions& options, std::size_t jobs, std::size_t earlier, std::size_t done,
                        double wall_s) {
  nlohmann::ordered_json j;
  j["lockstep"] = version();
  j["sources"] = revision();
  j["run_file"] = options.run.file;
  j["trials_file"] = options.trials;
  j["set"] = options.run.sets;
  j["jobs"] = jobs;
  j["trials"] = done;
  j["of_them_from_earlier"] = earlier;
  j["wall_s"] = wall_s;
  return j.dump(2) + "\n";
}

}  // namespace

int train_trials(const Context& context, const TrialsOptions& options) {
  const auto begin = std::chrono::steady_clock::now();
  if (launched_as_job([](const char* name) { return std::getenv(name); }))
    throw ConfigError("--sweep", "", "trials run one rank each, in one process; leave mpirun or srun away");
  if (options.force && options.resume)
    throw ConfigError("--resume", "", "contradicts --force; expected one of the two");
  const TrialsSpec spec = read_trials(options.trials);
  const TrialsRequest request{options.run.file, options.trials, options.run.sets, {context.data}};
  std::vector<Trial> trials = all_trials(spec);
  check_trials(request, spec, trials);

  const fs::path directory =
      options.output.empty()
          ? fs::path("results") / (fs::absolute(options.run.file).parent_path().filename().string() + "_trials")
          : fs::path(options.output);
  const fs::path file = directory / "trials.csv";
  Outcomes outcomes;
  std::vector<FinishedTrial> finished;
  if (options.resume) {
    Fingerprints prints(request.paths);
    finished = finished_trials(file, request, spec, prints);
  } else if (!options.force && fs::exists(file)) {
    throw ConfigError(
        directory.string(), "",
        "holds trials already; go on with --resume, overwrite them with --force, or name another --output");
  }
  claim_directory(directory, options.force || options.resume);
  write_file(directory / "run.toml", write_run(read_run(options.run.file, options.run.sets)));
  write_file(directory / "trials.toml", text_of(options.trials));

  const std::size_t earlier = finished.size();
  // Rows of earlier trials are written first: a kill at any time loses none of them.
  std::vector<SweepRow> rows;
  std::optional<ResultsFile> results;
  TrialsJob job;
  job.threads = options.jobs > 0 ? options.jobs : usable_threads();
  job.finished = [&](const SweepRow& row) {
    if (!results) {
      rows.push_back(row);
      if (rows.size() < earlier) return;
      results.emplace(file, trial_columns(), rows);
    } else {
      results->append(row);
    }
  };
  if (earlier == 0) results.emplace(file, trial_columns(), rows);
  std::size_t diverged = 0;
  bool whole = false;
  {
    const Progress line = progress_line(context);
    std::optional<double> earlier_fraction;
    job.progress = [&](double fraction, std::size_t done) {
      if (!earlier_fraction) earlier_fraction = std::min(fraction, 0.999);
      diverged = 0;
      for (const auto& [index, outcome] : outcomes) diverged += outcome.diverged ? 1 : 0;
      std::string what = fmt::format("{} of {} trials", done, trials.size());
      if (diverged > 0) what += fmt::format(", {} diverged", diverged);
      // Of the work of this call, so that the time left follows from its own pace.
      return line((fraction - *earlier_fraction) / (1 - *earlier_fraction), what);
    };
    whole = run_trials(request, spec, trials, finished, outcomes, job);
  }
  results->finish();
  const double wall_s = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  const std::size_t reused = place(trials, finished).size();
  write_file(directory / "trials.json", description(options, job.threads, reused, outcomes.size(), wall_s));
  std::fputs(trials_page(spec, trials, outcomes).c_str(), stdout);
  fmt::print("  {} trials, {} of them from before, in {}; written to {}\n", outcomes.size(), reused,
             to_text(Time::seconds(wall_s)), file.string());
  std::size_t failures = 0;
  for (const auto& [index, outcome] : outcomes) {
    if (outcome.error.empty()) continue;
    ++failures;
    fmt::print(stderr, "trial {}: {}\n", index, outcome.error);
  }
  if (!whole) {
    fmt::print(stderr, "interrupted after {} of {} trials, which are kept; go on with --resume\n", outcomes.size(),
               trials.size());
    return kInterrupted;
  }
  return failures > 0 ? kCheckFailed : kDone;
}

}  // namespace lockstep::cli
