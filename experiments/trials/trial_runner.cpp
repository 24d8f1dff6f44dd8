#include "experiments/trials/trial_runner.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <mutex>

#include <fmt/format.h>

#include "core/base/error.hpp"
#include "experiments/config_io/read_run.hpp"
#include "experiments/parallel.hpp"
#include "experiments/training/alone.hpp"
#include "experiments/trials/trial_table.hpp"

namespace lockstep {

namespace {

using Clock = std::chrono::steady_clock;

/// Images of runs that read the same, opened once.
class SharedImages {
 public:
  RunImages of(const RunSpec& run) {
    RunSpec key;
    key.model = run.model;
    key.data = run.data;
    key.training.device = run.training.device;
    if (run.data.kind == DataKind::Synthetic) key.training.seed = run.training.seed;  // others ignore it
    const std::string text = write_run(key);
    const std::lock_guard lock(guard_);
    const auto found = known_.find(text);
    if (found != known_.end()) return found->second;
    return known_.emplace(text, open_images(run)).first->second;
  }

 private:
  std::mutex guard_;
  std::map<std::string, RunImages> known_;
};

class Execution {
 public:
  Execution(const TrialsRequest& request, const TrialsSpec& spec, std::vector<Trial>& trials,
            const std::vector<FinishedTrial>& finished, Outcomes& outcomes, const TrialsJob& job)
      : request_(request),
        spec_(spec),
        trials_(trials),
        finished_(finished),
        outcomes_(outcomes),
        job_(job),
        prints_(request.paths) {}

  bool run() {
    outcomes_ = place(trials_, finished_);
    choose_rates(spec_, trials_, outcomes_);
    keep_finished();
    outcomes_ = place(trials_, finished_);  // Final ones too, as far as their rates are known
    if (!stage(TrialStage::Tune)) return false;
    choose_rates(spec_, trials_, outcomes_);
    // Those whose rate was not chosen before the rest of a wider grid had been tried.
    for (const auto& [index, outcome] : place(trials_, finished_)) {
      if (outcomes_.emplace(index, outcome).second) tell(trials_[index], outcome);
    }
    return stage(TrialStage::Final);
  }

 private:
  struct Done {
    std::size_t index;
    TrialOutcome outcome;
    SweepRow row;
  };

  void tell(const Trial& trial, const TrialOutcome& outcome) {
    if (!job_.finished) return;
    const Inputs inputs = read_trial(request_, spec_, trial);
    job_.finished(trial_row(spec_, trial, inputs.run, prints_.of(inputs), outcome));
  }

  /// A Final trial whose rate is open again keeps its row until one at the rate that wins takes its place.
  void keep_finished() {
    for (const auto& [f, outcome] : finished_) {
      for (Trial t : trials_) {
        if (!same_place(t, f) || (t.stage == TrialStage::Tune && t.rate != f.rate)) continue;
        if (t.rate != f.rate) t.edge = f.edge;
        t.rate = f.rate;
        tell(t, outcome);
      }
    }
  }

  bool stage(TrialStage stage) {
    std::vector<std::size_t> todo;
    for (const Trial& t : trials_) {
      if (t.stage == stage && t.rate > 0 && outcomes_.count(t.index) == 0) todo.push_back(t.index);
    }
    const bool whole = for_each_in_parallel(
        todo.size(), job_.threads, [&](std::size_t i) { one(trials_[todo[i]]); },
        [&](std::size_t) { return collect(); });
    collect();
    return whole && !stop_;
  }

  void one(const Trial& trial) {
    TrialOutcome outcome;
    const auto begin = Clock::now();
    std::atomic<double> fraction{0};
    {
      const std::lock_guard lock(guard_);
      under_way_.push_back(&fraction);
    }
    RunSpec run;
    std::string digest;
    bool stopped = false;
    try {
      const Inputs inputs = read_trial(request_, spec_, trial);
      run = inputs.run;
      digest = prints_.of(inputs);
      const auto total = static_cast<double>(total_steps(run));
      const TrainingResult result = train_alone(inputs, images_.of(run), [&](std::int64_t done) {
        fraction = static_cast<double>(done) / total;
        return !stop_;
      });
      stopped = result.stopped;
      outcome.steps = result.steps;
      if (result.loss) outcome.loss = result.loss->value;
      if (result.top1) outcome.top1_percent = result.top1->value;
    } catch (const Diverged& e) {
      outcome = {};
      outcome.steps = e.step;
      outcome.diverged = true;
    } catch (const std::exception& e) {
      outcome = {};
      outcome.error = e.what();
    }
    outcome.wall_s = std::chrono::duration<double>(Clock::now() - begin).count();
    const std::lock_guard lock(guard_);
    under_way_.erase(std::find(under_way_.begin(), under_way_.end(), &fraction));
    if (!stopped) outbox_.push_back({trial.index, outcome, trial_row(spec_, trial, run, digest, outcome)});
  }

  /// In the calling thread: takes what has finished and asks whether to go on.
  bool collect() {
    std::vector<Done> ready;
    double partial = 0;
    {
      const std::lock_guard lock(guard_);
      ready.swap(outbox_);
      for (const auto* f : under_way_) partial += *f;
    }
    for (Done& d : ready) {
      outcomes_[d.index] = d.outcome;
      if (job_.finished) job_.finished(d.row);
    }
    const double done = static_cast<double>(outcomes_.size()) + partial;
    if (job_.progress && !job_.progress(done / static_cast<double>(trials_.size()), outcomes_.size())) stop_ = true;
    return !stop_;
  }

  const TrialsRequest& request_;
  const TrialsSpec& spec_;
  std::vector<Trial>& trials_;
  const std::vector<FinishedTrial>& finished_;
  Outcomes& outcomes_;
  const TrialsJob& job_;
  Fingerprints prints_;
  SharedImages images_;
  std::mutex guard_;
  std::vector<Done> outbox_;
  std::vector<std::atomic<double>*> under_way_;
  std::atomic<bool> stop_{false};
};

}  // namespace

void check_trials(const TrialsRequest& request, const TrialsSpec& spec, const std::vector<Trial>& trials) {
  std::vector<Fault> faults;
  SharedImages images;
  const auto attempt = [&](auto&& work) {
    try {
      work();
    } catch (const ConfigError& e) {
      for (const Fault& f : e.faults()) {
        const bool known =
            std::any_of(faults.begin(), faults.end(), [&](const Fault& g) { return g.text() == f.text(); });
        if (!known) faults.push_back(f);
      }
    }
  };
  std::map<std::pair<std::size_t, int>, bool> seen;
  for (Trial trial : trials) {
    if (!seen.emplace(std::pair(trial.series, trial.batch), true).second) continue;
    if (trial.rate == 0) trial.rate = 1;  // not chosen yet; any will do
    attempt([&] {
      const Inputs inputs = read_trial(request, spec, trial);
      try {
        images.of(inputs.run);
      } catch (const ConfigError& e) {
        std::vector<Fault> placed = e.faults();
        for (Fault& f : placed) {
          if (f.where == "run file") f.where = place_of(request.run_file, request.sets, f.key);
        }
        throw ConfigError(std::move(placed));
      }
    });
  }
  if (!faults.empty()) throw ConfigError(std::move(faults));
}

bool run_trials(const TrialsRequest& request, const TrialsSpec& spec, std::vector<Trial>& trials,
                const std::vector<FinishedTrial>& finished, Outcomes& outcomes, const TrialsJob& job) {
  return Execution(request, spec, trials, finished, outcomes, job).run();
}

}  // namespace lockstep
