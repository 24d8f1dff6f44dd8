#include "experiments/sweep/runner.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <future>
#include <map>
#include <mutex>
#include <thread>

#include "core/base/error.hpp"
#include "core/run/metrics.hpp"
#include "experiments/check/rule.hpp"
#include "experiments/parallel.hpp"
#include "experiments/sweep/fingerprint.hpp"

namespace lockstep {

namespace {

using Clock = std::chrono::steady_clock;

/// What a point costs, up to a factor: events grow with GPUs; the model is built whatever their number.
double cost_of(const SweepPoint& point) { return 8.0 + point.gpus; }

/// Throughput of one GPU, simulated once for all points that share it.
class Alone {
 public:
  explicit Alone(DataPaths paths) : prints_(std::move(paths)) {}
  double images_per_second(const Inputs& inputs) {
    const Inputs one = at_world_size(inputs, 1);
    const std::string key = prints_.of(one);
    std::promise<double> promise;
    std::shared_future<double> future;
    {
      const std::lock_guard lock(guard_);
      auto& known = known_[key];
      if (known.valid()) {
        future = known;
      } else {
        known = promise.get_future().share();
      }
    }
    if (future.valid()) return future.get();
    try {
      const double rate = predict_step(one).images_per_second;
      promise.set_value(rate);
      return rate;
    } catch (...) {
      promise.set_exception(std::current_exception());
      throw;
    }
  }

 private:
  Fingerprints prints_;
  std::mutex guard_;
  std::map<std::string, std::shared_future<double>> known_;
};

/// One process: its threads put rows into the outbox, its calling thread takes part in rounds of exchange until every
/// process has finished.
class Worker {
 public:
  Worker(const SweepRequest& request, const SweepPlan& plan, const SweepJob& job)
      : request_(request),
        plan_(plan),
        job_(job),
        columns_(sweep_columns(plan.axes, job.efficiency)),
        alone_(request.paths) {}

  bool run(const std::vector<std::size_t>& todo) {
    std::vector<std::size_t> order;
    for (std::size_t i : todo) {
      const SweepPoint& point = plan_.points[i];
      all_ += cost_of(point);
      if (point.faults.empty())
        order.push_back(i);
      else
        take(failed_row(point, error_of(point.faults), job_.efficiency));
    }
    // The longest ones first, so that no thread is left alone with one at the end.
    std::stable_sort(order.begin(), order.end(),
                     [&](std::size_t a, std::size_t b) { return cost_of(plan_.points[a]) > cost_of(plan_.points[b]); });
    std::vector<std::size_t> mine;
    for (std::size_t i = static_cast<std::size_t>(job_.rank); i < order.size();
         i += static_cast<std::size_t>(job_.size))
      mine.push_back(order[i]);
    for_each_in_parallel(
        mine.size(), job_.threads, [&](std::size_t i) { point(plan_.points[mine[i]]); },
        [&](std::size_t) {
          if (Clock::now() - last_round_ >= kBetweenRounds) round(false);
          return !stop_;
        });
    while (!round(true)) std::this_thread::sleep_for(kBetweenRounds);
    return !stop_;
  }

 private:
  static constexpr std::chrono::milliseconds kBetweenRounds{100};

  void point(const SweepPoint& point) {
    SweepRow row;
    try {
      const Inputs inputs = read_point(request_, plan_.axes, point.values, *plan_.files);
      LoopHooks hooks;
      hooks.observer = [&](std::int64_t, Time) { return !stop_; };
      const RunPrediction prediction = predict_run(inputs, hooks);
      if (prediction.run.stopped) return;
      std::optional<double> efficiency;
      if (job_.efficiency) {
        efficiency = scaling_efficiency(prediction.step.images_per_second, prediction.step.gpus,
                                        alone_.images_per_second(inputs), 1);
      }
      row = row_of(point, prediction, efficiency, check::machine_warnings(inputs));
    } catch (const ConfigError& e) {
      row = failed_row(point, error_of(e.faults()), job_.efficiency);
    } catch (const std::exception& e) {
      row = failed_row(point, e.what(), job_.efficiency);
    }
    const std::lock_guard lock(guard_);
    outbox_.push_back(std::move(row));
  }

  void take(const SweepRow& row) {
    ++done_;
    spent_ += cost_of(plan_.points[index_of(row)]);
    if (job_.finished) job_.finished(row);
  }

  /// A letter is "finished? stopped?" in two characters, then the rows as CSV with their header. True once all
  /// processes have finished.
  bool round(bool finished) {
    if (job_.progress && !job_.progress(all_ > 0 ? spent_ / all_ : 1, done_)) stop_ = true;
    std::string letter = {finished ? '1' : '0', stop_ ? '1' : '0'};
    letter += csv_line(columns_);
    {
      const std::lock_guard lock(guard_);
      for (const auto& row : outbox_) letter += csv_line(row);
      outbox_.clear();
    }
    bool all_finished = true;
    for (const std::string& from : job_.exchange(letter)) {
      LOCKSTEP_EXPECTS(from.size() > 2);
      all_finished = all_finished && from[0] == '1';
      if (from[1] == '1') stop_ = true;
      for (const SweepRow& row : parse_rows(columns_, from.substr(2), "exchange")) take(row);
    }
    last_round_ = Clock::now();
    return all_finished;
  }

  const SweepRequest& request_;
  const SweepPlan& plan_;
  const SweepJob& job_;
  std::vector<std::string> columns_;
  Alone alone_;
  std::mutex guard_;
  std::vector<SweepRow> outbox_;
  std::atomic<bool> stop_{false};
  Clock::time_point last_round_ = Clock::now();
  std::size_t done_ = 0;
  double all_ = 0, spent_ = 0;
};

}  // namespace

bool run_sweep(const SweepRequest& request, const SweepPlan& plan, const std::vector<std::size_t>& todo,
               const SweepJob& job) {
  return Worker(request, plan, job).run(todo);
}

}  // namespace lockstep
