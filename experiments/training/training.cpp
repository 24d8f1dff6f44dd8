#include "experiments/training/training.hpp"

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>

#include <fmt/format.h>

#include "core/base/error.hpp"
#include "core/model/zoo.hpp"
#include "core/run/metrics.hpp"
#include "experiments/config_io/config_io.hpp"
#include "experiments/inputs/read_inputs.hpp"
#include "experiments/output/report.hpp"
#include "experiments/output/train_log.hpp"
#include "experiments/training/device_backend.hpp"
#include "real/comm/mpi/mpi_transport.hpp"
#include "real/world/real_world.hpp"

namespace lockstep {

namespace fs = std::filesystem;

namespace {

constexpr TracedSteps kTraced{10, 3};  // behind the first steps, which are slower

fs::path directory_of(const TrainingRequest& request, const RunSpec& run) {
  if (!request.output.empty()) return request.output;
  if (!run.output.directory.empty()) return run.output.directory;
  const fs::path folder = fs::absolute(request.run_file).parent_path().filename();
  return fs::path("results") / (folder.string() + "_train");
}

std::int64_t milliseconds_now() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::system_clock::now().time_since_epoch())
      .count();
}

}  // namespace

std::string to_json(const TrainingReport& r) {
  const TrainingResult& t = r.result;
  nlohmann::ordered_json j;
  j["lockstep"] = version();
  j["sources"] = revision();
  j["model"] = r.inputs.run.model.name;
  j["backend"] = r.info.backend;
  j["description"] = r.info.description;
  j["ranks"] = r.info.world_size;
  j["global_batch"] = r.inputs.run.training.global_batch;
  j["seed"] = r.inputs.run.training.seed;
  j["steps"] = t.steps;
  j["last_step"] = r.last_step;
  j["elapsed_s"] = t.elapsed.seconds();
  j["stepping_s"] = t.stepping.seconds();
  j["evaluating_s"] = t.evaluating.seconds();
  if (t.steps > 0) {
    j["step_ms"] = t.stepping.milliseconds() / static_cast<double>(t.steps);
    j["images_per_s"] = images_per_second(t.images, t.stepping);
    j["parts_ms"] = {{"input", t.parts.input.milliseconds()},         {"forward", t.parts.forward.milliseconds()},
                     {"backward", t.parts.backward.milliseconds()},   {"exposed", t.parts.exposed.milliseconds()},
                     {"straggler", t.parts.straggler.milliseconds()}, {"update", t.parts.update.milliseconds()}};
  }
  if (t.loss) j["loss"] = t.loss->value;
  if (t.loss_scale > 0) {
    j["loss_scale"] = t.loss_scale;
    j["skipped_steps"] = t.skipped;
  }
  if (t.top1) j["top1_percent"] = t.top1->value;
  j["stopped"] = t.stopped;
  return j.dump(2) + "\n";
}

struct TrainingSession::Impl {
  explicit Impl(const TrainingRequest& r) : request(r) {
    const auto environment = [](const char* name) { return std::getenv(name); };
    transport = launched_as_job(environment) ? mpi_transport() : solo_transport();
    agree([&] { read(); });
    agree([&] { claim(); });
  }

  /// Runs `work` on every rank; if any rank's throws ConfigError, all throw the faults of the lowest such rank.
  template <class Work>
  void agree(Work&& work) {
    std::string mine;
    try {
      work();
    } catch (const ConfigError& e) {
      for (const Fault& f : e.faults()) mine += f.where + '\x1f' + f.key + '\x1f' + f.message + '\x1e';
    }
    for (const std::string& text : transport->gather(mine)) {
      if (text.empty()) continue;
      std::vector<Fault> faults;
      for (std::size_t at = 0; at < text.size();) {
        const std::size_t key = text.find('\x1f', at), message = text.find('\x1f', key + 1),
                          end = text.find('\x1e', message);
        faults.push_back({text.substr(at, key - at), text.substr(key + 1, message - key - 1),
                          text.substr(message + 1, end - message - 1)});
        at = end + 1;
      }
      if (transport->rank() != 0) throw ReportedByRank0{};
      throw ConfigError(std::move(faults));
    }
  }

  void read() {
    // The number of processes is the world size: it goes before the run file, like any other override.
    std::vector<std::string> sets = request.sets;
    sets.push_back(fmt::format("cluster.gpus={}", transport->size()));
    sets.push_back("output.trace_ranks=[0]");
    sets.push_back("output.curve=[]");
    inputs = read_inputs(request.run_file, sets, {request.data});
    RunSpec& run = inputs.run;
    run.output.trace_ranks.clear();
    for (int r = 0; r < std::min(transport->size(), 8); ++r) run.output.trace_ranks.push_back(r);
    const auto at = [&](const std::string& key) { return place_of(request.run_file, request.sets, key); };
    std::vector<Fault> faults;
    const ModelGraph graph = build_model(run.model.name, run.model.image_size, run.model.classes);
    const auto attempt = [&](auto&& work) {
      try {
        work();
      } catch (const ConfigError& e) {
        for (Fault f : e.faults()) {
          if (f.where == "run file") f.where = at(f.key);
          if (std::find_if(faults.begin(), faults.end(), [&](const Fault& g) { return g.text() == f.text(); }) ==
              faults.end())
            faults.push_back(std::move(f));
        }
      }
    };
    const auto open = [&](Split split) {
      return open_dataset(run.data, split, graph.input(), graph.classes, run.training.seed);
    };
    attempt([&] { device_of(run).require(run); });
    attempt([&] { training = open(Split::Training); });
    if (run.data.validation_images > 0) attempt([&] { validation = open(Split::Validation); });
    if (!faults.empty()) throw ConfigError(std::move(faults));
  }

  void claim() {
    if (!request.writes) return;
    directory = directory_of(request, inputs.run);
    if (transport->rank() != 0) return;
    if (request.resume) {
      if (!fs::is_directory(directory / "checkpoints"))
        throw ConfigError(directory.string(), "--resume",
                          "holds no checkpoints to go on from; leave --resume out to begin a new run");
      return;
    }
    claim_directory(directory, request.force);
    fs::remove_all(directory / "checkpoints");  // --force: of the run that is being replaced
  }

  RealWorldSettings settings() const {
    RealWorldSettings out;
    out.run = inputs.run;
    out.transport = transport.get();
    out.training = training.get();
    out.validation = validation.get();
    out.device = device_of(inputs.run).make;
    return out;
  }

  TrainingRequest request;
  std::unique_ptr<Transport> transport;
  Inputs inputs;
  std::unique_ptr<Dataset> training, validation;
  fs::path directory;
};

void abort_job_of(int exit_code) { abort_job(exit_code); }

TrainingSession::TrainingSession(const TrainingRequest& request) : impl_(std::make_unique<Impl>(request)) {}
TrainingSession::~TrainingSession() = default;
int TrainingSession::rank() const { return impl_->transport->rank(); }

TrainingReport TrainingSession::run(const std::function<void(const LogRecord&)>& log,
                                    const std::function<bool()>& go_on) {
  Impl& s = *impl_;
  const bool first = rank() == 0;
  TrainingReport report;
  report.inputs = s.inputs;
  report.directory = s.directory;
  const RunSpec& run = s.inputs.run;

  std::optional<TrainLog> file;
  if (first) {
    write_file(s.directory / "run.toml", write_run(run));
    file.emplace(s.directory, run, s.request.resume, milliseconds_now);
  }
  const auto record = [&](const LogRecord& r) {
    report.last_step = std::max(report.last_step, r.step);
    if (file) file->record(r);
    if (log) log(r);
  };
  RealWorldSettings settings = s.settings();
  settings.checkpoints = s.directory / "checkpoints";
  settings.traced = kTraced;
  settings.warn = [&](const std::string& text) {
    LogRecord warning;
    warning.kind = LogRecord::Kind::Warning;
    warning.text = text;
    record(warning);
  };
  RealWorld world(std::move(settings));
  report.info = world.info();

  LoopHooks hooks;
  hooks.log = record;
  hooks.observer = [&](std::int64_t, Time) { return !go_on || go_on(); };
  if (s.request.resume) hooks.resume_from = "newest";
  try {
    report.result = train(run, world, program_factory(s.inputs), hooks);
  } catch (const ConfigError&) {  // agreed upon by all ranks
    if (!first) throw ReportedByRank0{};
    throw;
  }

  std::vector<std::int64_t> steps;
  for (std::int64_t k = 0; k < kTraced.count; ++k) steps.push_back(kTraced.first + k);
  const Timeline timeline = world.timeline(traced_ranks(run), steps);
  if (first) {
    write_file(s.directory / "result.json", to_json(report));
    report.written = "run.toml, log.jsonl, mlperf.log, result.json, checkpoints/";
    if (const auto choices = world.choices(); !choices.empty()) {
      write_file(s.directory / "algorithms.txt", fmt::format("{}\n", fmt::join(choices, "\n")));
      report.written += ", algorithms.txt";
    }
    if (run.output.trace && !timeline.events.empty()) {
      write_file(s.directory / "trace.json", to_trace(timeline));
      report.written += ", trace.json (open it at ui.perfetto.dev)";
    }
  }
  return report;
}

Measurement TrainingSession::measure(std::int64_t steps, const std::function<bool()>& go_on) {
  constexpr std::int64_t kWarmUp = 5;
  Impl& s = *impl_;
  const RunSpec& run = s.inputs.run;
  RealWorldSettings settings = s.settings();
  settings.traced = {kWarmUp, steps};
  RealWorld world(std::move(settings));
  Measurement m;
  m.inputs = s.inputs;
  m.info = world.info();
  m.program = program_factory(s.inputs)(run.training.global_batch);
  world.prepare({m.program.graph, run.training.seed});
  std::vector<StepArgs> args;
  const std::int64_t whole =
      std::max<std::int64_t>(1, run.data.training_images / run.training.global_batch);  // no short step among them
  for (std::int64_t i = 0; i < kWarmUp + steps; ++i) {
    StepArgs a = step_args(run, 0);
    a.step = i;
    a.first_sample = i % whole * run.training.global_batch;
    args.push_back(a);
  }
  const StepObserver observer = [&](std::int64_t, Time) { return !go_on || go_on(); };
  const std::span<const StepArgs> all(args);
  world.upcoming(all.subspan(kWarmUp));
  world.run(m.program, all.first(kWarmUp), observer);
  world.upcoming({});
  m.result = world.run(m.program, all.subspan(kWarmUp), observer);
  m.steps = m.result.steps;
  std::vector<Rank> ranks;
  for (int r = 0; r < std::min(s.transport->size(), 8); ++r) ranks.emplace_back(r);
  std::vector<std::int64_t> measured;
  for (std::int64_t i = 0; i < m.steps; ++i) measured.push_back(kWarmUp + i);
  m.timeline = world.timeline(ranks, measured);
  if (s.validation) {
    // Two passes over a few batches: the first one allocates.
    const std::int64_t batch = run.training.global_batch / s.transport->size() / m.program.accumulation;
    const std::int64_t images = std::min(run.data.validation_images, 4 * batch * s.transport->size());
    world.evaluate(m.program, {0, images});
    const EvalResult e = world.evaluate(m.program, {0, images});
    m.inference_images = batch;
    m.inference = e.elapsed * (static_cast<double>(batch * s.transport->size()) / static_cast<double>(images));
  }
  return m;
}

DeviceRates TrainingSession::rates() const { return device_of(impl_->inputs.run).rates(); }

std::vector<std::pair<Bytes, Time>> TrainingSession::ping_pong() {
  constexpr int kRepeats = 20;
  Transport& t = *impl_->transport;
  std::vector<std::pair<Bytes, Time>> out;
  if (t.size() == 1) return out;
  const auto finish = [&](Transport::Request r) {
    while (!t.test(r)) {
    }
  };
  for (std::size_t bytes = 8; bytes <= std::size_t{16} << 20; bytes *= 8) {
    std::vector<std::byte> buffer(bytes);
    double best = 1e9;
    for (int i = 0; i < kRepeats && t.rank() < 2; ++i) {
      const auto begin = std::chrono::steady_clock::now();
      if (t.rank() == 0) finish(t.send(1, 1, buffer));
      finish(t.rank() == 0 ? t.receive(1, 1, buffer) : t.receive(0, 1, buffer));
      if (t.rank() == 1) finish(t.send(0, 1, buffer));
      best = std::min(best, std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count() / 2);
    }
    out.emplace_back(Bytes(static_cast<std::int64_t>(bytes)), Time::seconds(best));
    t.barrier();
  }
  return out;
}

}  // namespace lockstep
