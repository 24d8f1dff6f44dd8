#include "core/run/training_loop.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>

#include <fmt/format.h>

#include "core/base/error.hpp"
#include "core/optim/lr_schedule.hpp"

namespace lockstep {

namespace {

constexpr std::ptrdiff_t kLookAhead = 4;  // steps that a world is told of before it must run them

/// A stretch of the run with one global batch. Epoch boundaries restart the count of images: the last step of an epoch is short.
struct Stretch {
  std::int64_t batch = 0;
  double first_epoch = 0, last_epoch = 0;  ///< [first, last)
  std::int64_t steps_per_epoch = 0;
  std::int64_t first_step = 0, steps = 0;
};

std::vector<Stretch> stretches(const RunSpec& run) {
  std::vector<double> cuts{0};
  for (const auto& [epoch, batch] : run.schedule.batches) {
    if (epoch > 0 && epoch < run.training.epochs) cuts.push_back(epoch);
  }
  cuts.push_back(run.training.epochs);
  std::vector<Stretch> out;
  std::int64_t step = 0;
  for (std::size_t i = 0; i + 1 < cuts.size(); ++i) {
    Stretch s;
    s.batch = global_batch_at(run.schedule, cuts[i], run.training.global_batch);
    s.first_epoch = cuts[i];
    s.last_epoch = cuts[i + 1];
    s.steps_per_epoch = steps_per_epoch(run.data.training_images, s.batch);
    s.first_step = step;
    s.steps = std::max<std::int64_t>(
        1, std::llround((s.last_epoch - s.first_epoch) * static_cast<double>(s.steps_per_epoch)));
    step += s.steps;
    out.push_back(s);
  }
  return out;
}

const Stretch& stretch_of(const std::vector<Stretch>& all, std::int64_t step) {
  for (const Stretch& s : all) {
    if (step < s.first_step + s.steps) return s;
  }
  return all.back();
}

double epoch_at(const Stretch& s, std::int64_t step) {
  return s.first_epoch + static_cast<double>(step - s.first_step) / static_cast<double>(s.steps_per_epoch);
}

SchedulePoint point_at(const RunSpec& run, const Stretch& s, std::int64_t step) {
  return {epoch_at(s, step), 1.0 / static_cast<double>(s.steps_per_epoch), run.training.epochs, s.batch};
}

StepArgs args_at(const RunSpec& run, const std::vector<Stretch>& all, std::int64_t step) {
  const Stretch& s = stretch_of(all, step);
  const SchedulePoint point = point_at(run, s, step);
  StepArgs a;
  a.step = step;
  a.epoch = point.epoch;
  a.lr = learning_rate(run.schedule, point);
  a.peak_lr = peak_rate(run.schedule, s.batch);
  a.weight_decay = run.optimizer.weight_decay * weight_decay_factor(run.schedule, point);
  if (step > 0) {
    const Stretch& before = stretch_of(all, step - 1);
    a.momentum_scale = momentum_scale(a.lr, learning_rate(run.schedule, point_at(run, before, step - 1)));
  }
  a.augment = run.training.augmentation_off_from <= 0 || a.epoch < run.training.augmentation_off_from;
  const std::int64_t within = (step - s.first_step) % s.steps_per_epoch;
  a.first_sample = within * s.batch;
  a.images = std::min(s.batch, run.data.training_images - a.first_sample);
  return a;
}

/// Steps after which the loop stops to evaluate or save: every `every` epochs, counted in whole steps.
bool boundary(const std::vector<Stretch>& all, std::int64_t done, double every) {
  if (every <= 0 || done == 0) return false;
  const Stretch& s = stretch_of(all, done - 1);
  const double now = epoch_at(s, done), before = epoch_at(s, done - 1);
  return std::floor(now / every + 1e-9) > std::floor(before / every + 1e-9);
}

}  // namespace

std::int64_t total_steps(const RunSpec& run) {
  const auto all = stretches(run);
  return all.back().first_step + all.back().steps;
}

StepArgs step_args(const RunSpec& run, std::int64_t step) { return args_at(run, stretches(run), step); }

std::vector<std::string> schedule_warnings(const RunSpec& run) {
  std::vector<std::string> warnings;
  const auto& s = run.schedule;
  if (s.warmup != WarmupKind::None && s.warmup_epochs > run.training.epochs) {
    warnings.push_back(fmt::format("warm-up of {:g} epochs is longer than the run ({:g}); shortened to {:g}",
                                   s.warmup_epochs, run.training.epochs, run.training.epochs));
  }
  if (s.decay == DecayKind::Step && !s.step_epochs.empty() && s.step_epochs.front() >= run.training.epochs) {
    warnings.push_back(fmt::format("the first rate step at epoch {:g} lies behind the end of the run ({:g} epochs)",
                                   s.step_epochs.front(), run.training.epochs));
  }
  const double warmup = effective_warmup(s, run.training.epochs);
  if (s.decay_epochs > 0 && warmup + s.decay_epochs > run.training.epochs + 1e-9) {
    warnings.push_back(fmt::format("warm-up and decay take {:g} epochs, the run {:g}: the rate does not reach its end",
                                   warmup + s.decay_epochs, run.training.epochs));
  }
  if (run.training.global_batch > run.data.training_images) {
    warnings.push_back(fmt::format("global batch {} is larger than the training set ({} images): every step is short",
                                   run.training.global_batch, run.data.training_images));
  }
  return warnings;
}

TrainingResult train(const RunSpec& run, World& world, const ProgramFactory& programs, const LoopHooks& hooks) {
  const auto all = stretches(run);
  const std::int64_t total = all.back().first_step + all.back().steps;
  std::map<std::int64_t, StepProgram> cache;
  const auto program_for = [&](std::int64_t batch) -> const StepProgram& {
    auto it = cache.find(batch);
    if (it == cache.end()) it = cache.emplace(batch, programs(batch)).first;
    return it->second;
  };
  TrainingResult result;
  const auto log = [&](LogRecord record) {
    if (!hooks.log) return;
    record.now = world.now();
    record.total_steps = total;
    hooks.log(record);
  };

  world.prepare({program_for(all.front().batch).graph, run.training.seed});
  LoopState state;
  if (hooks.resume_from) {
    state = world.restore(*hooks.resume_from);
    if (state.step > total) {
      throw ConfigError(
          "checkpoint " + *hooks.resume_from, "training.epochs",
          fmt::format("it stands at step {}, but the run ends at step {}; expected a longer run", state.step, total));
    }
  }
  {
    LogRecord start;
    start.kind = LogRecord::Kind::Start;
    start.step = state.step;
    start.text = world.info().description;
    log(std::move(start));
    for (const auto& warning : schedule_warnings(run)) {
      LogRecord record;
      record.kind = LogRecord::Kind::Warning;
      record.text = warning;
      log(std::move(record));
    }
  }

  const auto evaluate = [&](std::int64_t batch, double epoch) {
    if (run.data.validation_images == 0) return;
    const EvalResult e = world.evaluate(program_for(batch), {epoch, run.data.validation_images});
    result.evaluating += e.elapsed;
    if (e.top1) result.top1 = e.top1;
    LogRecord record;
    record.kind = LogRecord::Kind::Evaluation;
    record.epoch = epoch;
    record.step = state.step;
    record.evaluation = e;
    log(std::move(record));
  };
  std::string saved;
  const auto save = [&](const std::string& id) {
    if (id == saved) return;
    saved = id;
    world.save(id, state);
    LogRecord record;
    record.kind = LogRecord::Kind::Checkpoint;
    record.epoch = state.epoch;
    record.step = state.step;
    record.text = id;
    log(std::move(record));
  };

  bool evaluated = false;
  while (state.step < total && !result.stopped) {
    const Stretch& s = stretch_of(all, state.step);
    // Hand over everything up to the next thing that concerns the loop.
    std::vector<StepArgs> steps;
    bool at_evaluation = false, at_checkpoint = false;
    for (std::int64_t step = state.step; step < s.first_step + s.steps;) {
      steps.push_back(args_at(run, all, step));
      ++step;
      at_evaluation = boundary(all, step, run.training.evaluate_every);
      at_checkpoint = boundary(all, step, run.training.checkpoint_every);
      if (at_evaluation || at_checkpoint || step % run.training.log_every == 0) break;
    }
    std::vector<StepArgs> next;
    for (std::int64_t step = steps.back().step + 1; step < total && std::ssize(next) < kLookAhead; ++step)
      next.push_back(args_at(run, all, step));
    world.upcoming(next);
    const StepResult r = world.run(program_for(s.batch), steps, hooks.observer);
    state.step += r.steps;
    state.epoch = epoch_at(s, state.step);
    state.images_seen += r.images;
    state.last_lr = steps[static_cast<std::size_t>(std::max<std::int64_t>(1, r.steps) - 1)].lr;
    result.steps += r.steps;
    result.images += r.images;
    result.stepping += r.elapsed;
    if (r.loss) result.loss = r.loss;
    result.loss_scale = r.loss_scale;
    result.skipped += r.skipped;
    Breakdown weighted = r.parts / (1.0 / static_cast<double>(std::max<std::int64_t>(1, r.steps)));
    result.parts += weighted;
    LogRecord record;
    record.kind = LogRecord::Kind::Steps;
    record.epoch = state.epoch;
    record.step = state.step;
    record.lr = state.last_lr;
    record.result = r;
    log(std::move(record));

    result.stopped = world.any(r.stopped || r.steps < static_cast<std::int64_t>(steps.size()));
    evaluated = false;
    if (!result.stopped && at_evaluation) {
      evaluate(s.batch, state.epoch);
      evaluated = true;
    }
    if (!result.stopped && at_checkpoint) save("step-" + std::to_string(state.step));
  }
  if (!result.stopped && !evaluated) evaluate(all.back().batch, run.training.epochs);
  save("step-" + std::to_string(state.step));

  if (result.steps > 0) result.parts = result.parts / static_cast<double>(result.steps);
  result.elapsed = world.now();
  LogRecord end;
  end.kind = LogRecord::Kind::End;
  end.epoch = state.epoch;
  end.step = state.step;
  end.text = result.stopped ? "stopped" : "done";
  log(std::move(end));
  return result;
}

}  // namespace lockstep
