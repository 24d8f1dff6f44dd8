#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>

#include "core/spec/words.hpp"
#include "experiments/accuracy/accuracy_models.hpp"
#include "experiments/output/report.hpp"

namespace lockstep {

namespace {

using Json = nlohmann::ordered_json;

Json parts_of(const Breakdown& b) {
  return {{"forward", b.forward.milliseconds()}, {"backward", b.backward.milliseconds()},
          {"exposed", b.exposed.milliseconds()}, {"straggler", b.straggler.milliseconds()},
          {"update", b.update.milliseconds()},   {"input", b.input.milliseconds()}};
}

}  // namespace

std::string to_json(const SimulationReport& r) {
  const StepPrediction& step = r.prediction.step;
  Json j;
  j["lockstep"] = version();
  j["sources"] = revision();
  j["run_file"] = r.run_file;
  j["model"] = r.inputs.run.model.name;
  j["cluster"] = r.inputs.cluster.name;
  j["gpu"] = r.inputs.gpu.name;
  j["library"] = r.inputs.library.name;
  j["gpus"] = step.gpus;
  j["global_batch"] = step.global_batch;
  j["seed"] = r.inputs.run.training.seed;
  j["fold"] = word_of(r.inputs.run.simulation.fold);
  j["folding"] = step.folding;
  j["step_ms"] = step.step.milliseconds();
  if (r.interval) {
    j["step_low_ms"] = r.interval->low.milliseconds();
    j["step_high_ms"] = r.interval->high.milliseconds();
    for (const auto& s : r.interval->parameters) {
      j["sensitivity"].push_back({{"parameter", s.parameter},
                                  {"step_at_low_ms", s.at_low.milliseconds()},
                                  {"step_at_high_ms", s.at_high.milliseconds()},
                                  {"source", s.source}});
    }
  }
  for (const Rung& rung : r.ladder)
    j["ladder"].push_back({{"effect", rung.name}, {"step_ms", rung.step.milliseconds()}});
  j["images_per_s"] = step.images_per_second;
  j["parts_ms"] = parts_of(step.parts);
  j["time_to_train_s"] = r.prediction.run.elapsed.seconds();
  j["stepping_s"] = r.prediction.run.stepping.seconds();
  j["evaluating_s"] = r.prediction.run.evaluating.seconds();
  j["steps"] = r.prediction.run.steps;
  if (r.prediction.run.top1) {
    const Figure& f = *r.prediction.run.top1;
    j["top1_percent"] = {{"value", f.value}, {"low", f.low}, {"high", f.high}};
    if (r.accuracy.top1) j["top1_percent"]["extrapolated"] = r.accuracy.top1->extrapolated;
  }
  if (const auto seconds = time_to_target(r)) {
    const auto& e = *r.accuracy.epochs;
    j["to_target"] = {{"top1_percent", r.accuracy.target_percent},
                      {"seconds", {{"value", seconds->value}, {"low", seconds->low}, {"high", seconds->high}}},
                      {"epochs", {{"value", e.figure.value}, {"low", e.figure.low}, {"high", e.figure.high}}},
                      {"extrapolated", e.extrapolated}};
  }
  if (r.prediction.run.top1 || r.accuracy.epochs) {
    j["accuracy_recipe"] = r.accuracy.recipe;
    j["accuracy_caveat"] = kTunedSgdCaveat;
  }
  j["buckets"] = Json::array();
  for (const auto& b : step.buckets) {
    j["buckets"].push_back({{"bucket", b.bucket.value},
                            {"bytes", b.bytes.count()},
                            {"algorithm", b.algorithm},
                            {"protocol", b.protocol},
                            {"ready_ms", b.ready.milliseconds()},
                            {"begin_ms", b.begin.milliseconds()},
                            {"end_ms", b.end.milliseconds()}});
  }
  j["scaling"] = Json::array();
  for (const auto& c : r.curve) {
    j["scaling"].push_back({{"gpus", c.prediction.gpus},
                            {"step_ms", c.prediction.step.milliseconds()},
                            {"images_per_s", c.prediction.images_per_second},
                            {"efficiency", c.efficiency},
                            {"parts_ms", parts_of(c.prediction.parts)}});
  }
  j["published"] = Json::array();
  for (const auto& p : r.published) {
    j["published"].push_back({{"quantity", p.quantity},
                              {"gpus", p.gpus},
                              {"value", p.value},
                              {"source", p.source},
                              {"confidence", p.confidence}});
  }
  j["warnings"] = r.prediction.warnings;
  j["events"] = step.events;
  j["messages"] = step.messages;
  j["event_digest"] = fmt::format("{:016x}", step.digest);
  return j.dump(2) + "\n";
}

std::string curve_csv(const std::vector<CurvePoint>& curve) {
  std::string out =
      "gpus,global_batch,step_ms,images_per_s,efficiency,forward_ms,backward_ms,exposed_ms,straggler_ms,update_ms,"
      "input_ms\n";
  for (const auto& c : curve) {
    const auto& b = c.prediction.parts;
    out += fmt::format("{},{},{:.4f},{:.1f},{:.5f},{:.4f},{:.4f},{:.4f},{:.4f},{:.4f},{:.4f}\n", c.prediction.gpus,
                       c.prediction.global_batch, c.prediction.step.milliseconds(), c.prediction.images_per_second,
                       c.efficiency, b.forward.milliseconds(), b.backward.milliseconds(), b.exposed.milliseconds(),
                       b.straggler.milliseconds(), b.update.milliseconds(), b.input.milliseconds());
  }
  return out;
}

std::string to_trace(const Timeline& timeline) {
  // A viewer draws the slices of a row as a stack, so what runs at the same time needs rows of its own: the phases of a
  // collective lie below it, and collectives in flight together below each other.
  constexpr int kRowsPerKind = 100;
  Json events = Json::array();
  std::map<std::pair<int, int>, std::vector<Time>> rows;  // (rank, kind of row) -> end of the last slice in each row
  const auto kind_of = [](const TimelineEvent& e) {
    const bool phase = e.kind == OpKind::Allreduce && e.name.rfind("bucket ", 0) == 0;
    return static_cast<int>(e.lane) + (phase ? 1 : 0);
  };
  std::vector<const TimelineEvent*> ordered;
  for (const auto& e : timeline.events) ordered.push_back(&e);
  std::stable_sort(ordered.begin(), ordered.end(), [](const auto* a, const auto* b) { return a->begin < b->begin; });
  for (const TimelineEvent* e : ordered) {
    const int kind = kind_of(*e);
    auto& ends = rows[{e->rank.value, kind}];
    std::size_t row = 0;
    while (row < ends.size() && ends[row] > e->begin) ++row;
    const int tid = kind * kRowsPerKind + static_cast<int>(row);
    if (row == ends.size()) {
      ends.emplace_back();
      std::string name = kind > static_cast<int>(e->lane) ? "communication phases" : to_text(e->lane);
      if (row > 0) name += " " + std::to_string(row + 1);
      events.push_back({{"ph", "M"},
                        {"pid", e->rank.value},
                        {"name", "process_name"},
                        {"args", {{"name", "rank " + std::to_string(e->rank.value)}}}});
      events.push_back(
          {{"ph", "M"}, {"pid", e->rank.value}, {"tid", tid}, {"name", "thread_name"}, {"args", {{"name", name}}}});
    }
    ends[row] = e->end;
    Json args = {{"step", e->step}};
    if (e->bytes > Bytes(0)) args["bytes"] = e->bytes.count();
    events.push_back({{"ph", "X"},
                      {"pid", e->rank.value},
                      {"tid", tid},
                      {"name", e->name},
                      {"cat", to_text(e->kind)},
                      {"ts", e->begin.microseconds()},
                      {"dur", (e->end - e->begin).microseconds()},
                      {"args", args}});
  }
  return Json{{"displayTimeUnit", "ms"}, {"traceEvents", events}}.dump() + "\n";
}

}  // namespace lockstep
