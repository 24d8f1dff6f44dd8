#include "experiments/output/train_log.hpp"

#include <cerrno>
#include <cmath>
#include <cstring>
#include <nlohmann/json.hpp>

#include <fmt/format.h>

#include "core/base/error.hpp"
#include "core/optim/lr_schedule.hpp"
#include "core/run/metrics.hpp"

namespace lockstep {

namespace {

using Json = nlohmann::ordered_json;

Json steps_of(const LogRecord& r) {
  const StepResult& s = r.result;
  const auto per_step = [&](Time t) { return s.steps > 0 ? t.milliseconds() / static_cast<double>(s.steps) : 0.0; };
  Json j{{"lr", r.lr}, {"images", s.images}, {"step_ms", per_step(s.elapsed)}};
  if (s.elapsed > Time::zero()) j["images_per_s"] = images_per_second(s.images, s.elapsed);
  if (s.loss) j["loss"] = s.loss->value;
  if (s.loss_scale > 0) {
    j["loss_scale"] = s.loss_scale;
    j["skipped_steps"] = s.skipped;
  }
  j["parts_ms"] = {{"input", s.parts.input.milliseconds()},         {"forward", s.parts.forward.milliseconds()},
                   {"backward", s.parts.backward.milliseconds()},   {"exposed", s.parts.exposed.milliseconds()},
                   {"straggler", s.parts.straggler.milliseconds()}, {"update", s.parts.update.milliseconds()}};
  return j;
}

const char* name_of(LogRecord::Kind kind) {
  switch (kind) {
    case LogRecord::Kind::Start: return "start";
    case LogRecord::Kind::Steps: return "steps";
    case LogRecord::Kind::Evaluation: return "evaluation";
    case LogRecord::Kind::Checkpoint: return "checkpoint";
    case LogRecord::Kind::Warning: return "warning";
    case LogRecord::Kind::End: return "end";
  }
  return "?";
}

std::string number(double v) { return Json(v).dump(); }
std::string quoted(const std::string& text) { return Json(text).dump(); }

}  // namespace

std::string json_line(const LogRecord& r) {
  Json j{{"event", name_of(r.kind)},
         {"time_s", r.now.seconds()},
         {"step", r.step},
         {"of", r.total_steps},
         {"epoch", r.epoch}};
  if (r.kind == LogRecord::Kind::Steps) j.update(steps_of(r));
  if (r.kind == LogRecord::Kind::Evaluation) {
    j["elapsed_s"] = r.evaluation.elapsed.seconds();
    if (r.evaluation.loss) j["loss"] = r.evaluation.loss->value;
    if (r.evaluation.top1) j["top1_percent"] = r.evaluation.top1->value;
  }
  if (!r.text.empty()) j["text"] = r.text;
  return j.dump(-1, ' ', false, Json::error_handler_t::replace);
}

TrainLog::TrainLog(const std::filesystem::path& directory, const RunSpec& run, bool resumed, Clock clock)
    : directory_(directory), clock_(std::move(clock)) {
  const auto mode = std::ios::binary | (resumed ? std::ios::app : std::ios::trunc);
  json_.open(directory / "log.jsonl", mode);
  mlperf_.open(directory / "mlperf.log", mode);
  if (!json_ || !mlperf_)
    throw BackendError("log: opening files in " + directory.string() + " failed: " + std::strerror(errno));
  const auto fact = [&](const char* key, const std::string& value) { mllog("POINT_IN_TIME", key, value); };
  fact("submission_benchmark", quoted(run.model.name));
  fact("seed", std::to_string(run.training.seed));
  fact("global_batch_size", std::to_string(run.training.global_batch));
  fact("gradient_accumulation_steps", std::to_string(accumulation_at(run, run.training.global_batch)));
  fact("train_samples", std::to_string(run.data.training_images));
  fact("eval_samples", std::to_string(run.data.validation_images));
  fact("opt_name", quoted(run.optimizer.kind == OptimizerKind::Lars ? "lars" : "sgd"));
  fact("opt_base_learning_rate", number(peak_rate(run.schedule, run.training.global_batch)));
  fact("opt_learning_rate_warmup_epochs", number(effective_warmup(run.schedule, run.training.epochs)));
  fact("opt_weight_decay", number(run.optimizer.weight_decay));
  fact("opt_momentum", number(run.optimizer.momentum));
  fact("model_bn_span",
       std::to_string(run.training.global_batch / run.cluster.gpus / accumulation_at(run, run.training.global_batch)));
}

void TrainLog::write(std::ofstream& out, const std::string& line) {
  out << line << '\n' << std::flush;
  if (!out) throw BackendError("log: writing in " + directory_.string() + " failed: " + std::strerror(errno));
}

void TrainLog::mllog(const char* type, const std::string& key, const std::string& value, const std::string& metadata) {
  write(
      mlperf_,
      fmt::format(
          R"(:::MLLOG {{"namespace": "", "time_ms": {}, "event_type": "{}", "key": "{}", "value": {}, "metadata": {}}})",
          clock_(), type, key, value, metadata));
}

void TrainLog::record(const LogRecord& r) {
  write(json_, json_line(r));
  const std::string epoch = fmt::format(R"({{"epoch_num": {}, "step_num": {}}})", number(r.epoch), r.step);
  switch (r.kind) {
    case LogRecord::Kind::Start: mllog("INTERVAL_START", "run_start", "null", epoch); break;
    case LogRecord::Kind::Evaluation:
      if (r.evaluation.top1) mllog("POINT_IN_TIME", "eval_accuracy", number(r.evaluation.top1->value / 100), epoch);
      break;
    case LogRecord::Kind::End:
      mllog("INTERVAL_END", "run_stop", "null",
            fmt::format(R"({{"status": "{}", "step_num": {}}})", r.text == "done" ? "success" : "aborted", r.step));
      break;
    case LogRecord::Kind::Steps:
      mllog("POINT_IN_TIME", "tracked_stats",
            Json{{"throughput",
                  r.result.elapsed > Time::zero() ? images_per_second(r.result.images, r.result.elapsed) : 0.0}}
                .dump(),
            epoch);
      break;
    case LogRecord::Kind::Checkpoint:
    case LogRecord::Kind::Warning: break;
  }
}

}  // namespace lockstep
