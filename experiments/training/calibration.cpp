#include "experiments/training/calibration.hpp"

#include <algorithm>
#include <map>

#include <fmt/format.h>

#include "core/spec/words.hpp"

namespace lockstep {

std::vector<std::pair<std::string, Time>> median_times(const Timeline& timeline) {
  std::map<std::string, std::vector<Time>> by_name;
  for (const TimelineEvent& e : timeline.events) by_name[e.name].push_back(e.end - e.begin);
  std::vector<std::pair<std::string, Time>> out;
  for (auto& [name, times] : by_name) {
    const auto middle = times.begin() + static_cast<std::ptrdiff_t>(times.size() / 2);
    std::nth_element(times.begin(), middle, times.end());
    out.emplace_back(name, *middle);
  }
  return out;
}

std::string profile_csv(const Measurement& m) {
  const RunSpec& run = m.inputs.run;
  const ModelGraph& graph = *m.program.graph;
  std::map<std::string, Time> times;
  for (auto& [name, time] : median_times(m.timeline)) times[name] = time;
  const auto of = [&](const std::string& name) {
    const auto it = times.find(name);
    return it == times.end() ? Time::zero() : it->second;
  };
  const std::int64_t batch = run.training.global_batch / run.cluster.gpus / m.program.accumulation;
  const std::string suffix = m.program.accumulation > 1 ? " (micro-step 0)" : "";
  std::string out = "model,image_size,precision,batch,operation,forward_us,backward_us\n";
  const auto row = [&](std::int64_t images, const std::string& operation, Time forward, Time backward) {
    out += fmt::format("{},{},{},{},{},{:.3f},{:.3f}\n", graph.name, graph.input().h, word_of(run.training.precision),
                       images, operation, forward.microseconds(), backward.microseconds());
  };
  for (const Layer& layer : graph.layers) {
    if (layer.kind != LayerKind::Input)
      row(batch, layer.name, of("forward " + layer.name + suffix), of("backward " + layer.name + suffix));
  }
  if (m.inference_images > 0) row(m.inference_images, "inference", m.inference, Time::zero());
  Time update;
  for (std::size_t g = 0; g < m.program.updates.size(); ++g) update += of("update " + std::to_string(g));
  const char* kind = run.optimizer.kind == OptimizerKind::Lars       ? "update lars"
                     : run.optimizer.kind == OptimizerKind::Nesterov ? "update nesterov"
                                                                     : "update sgd";
  row(1, kind, update, Time::zero());
  return out;
}

std::string processor_toml(const Measurement& m, const DeviceRates& p, const std::string& profile,
                           const std::string& source) {
  const auto value = [&](double v, const char* unit) {
    return fmt::format("{{ value = \"{:.4g}{}\", source = \"{}\", confidence = \"read\" }}", v, unit, source);
  };
  return fmt::format(
      "# Written by `lockstep calibrate`: one rank of this machine. {}\n"
      "title = \"One rank of this machine ({})\"\n"
      "compute_capability = {}\n"
      "profile = \"{}\"\n"
      "profile_source = \"{}\"\n\n"
      "fp32_peak = {}\n"
      "half_peak = {}\n"
      "memory = \"{}B\"\n"
      "memory_peak = {}\n"
      "memory_achieved = {}\n"
      "kernel_gap = \"1us\"\n"
      "dispatch = \"1us\"\n",
      m.info.description, m.info.backend, p.compute_capability, profile, source,
      value(p.fp32.per_second() / 1e12, "TFLOPS"), value(p.half.per_second() / 1e12, "TFLOPS"), p.capacity.count(),
      value(p.memory.gigabytes_per_second(), "GBps"), value(p.memory.gigabytes_per_second(), "GBps"));
}

std::string host_toml(const std::vector<std::pair<Bytes, Time>>& messages, int ranks, const std::string& gpu,
                      const std::string& source) {
  // Fixed cost from the smallest message, rate from those that are large but stay in the caches of their cores.
  double rate = 0, slow = 1e300, fast = 0;
  for (const auto& [size, time] : messages) {
    const double r = static_cast<double>(size.count()) / time.seconds();
    if (size.count() == (std::int64_t{256} << 10) || (rate == 0 && size.count() > (std::int64_t{256} << 10))) rate = r;
    if (size.count() >= (std::int64_t{32} << 10)) {
      slow = std::min(slow, r);
      fast = std::max(fast, r);
    }
  }
  const Time latency = messages.front().second;
  return fmt::format(
      "# Written by `lockstep calibrate`: ranks as processes of this host. A ping-pong of 8 bytes takes {:.2f} us one "
      "way; the rates are of single messages.\n"
      "title = \"This host, {} ranks\"\n"
      "nodes = 1\n\n"
      "[node]\n"
      "gpus = {}\n"
      "gpu = \"{}\"\n\n"
      "[node.nvlink]                # stands for shared memory\n"
      "through_switch = true\n"
      "links_per_gpu = 1\n"
      "per_link = {{ value = \"{:.4g}GBps\", low = \"{:.4g}GBps\", high = \"{:.4g}GBps\", source = \"{}\", confidence "
      "= \"read\" }}\n"
      "latency = {{ value = \"{:.0f}ns\", source = \"{}\", confidence = \"read\" }}\n\n"
      "[network]\n"
      "kind = \"none\"\n",
      latency.microseconds(), ranks, ranks, gpu, rate / 1e9, std::min(slow, rate) / 1e9, std::max(fast, rate) / 1e9,
      source, latency.nanoseconds(), source);
}

std::vector<ComparedOp> compare_timelines(const Timeline& measured, std::int64_t measured_steps,
                                          const Timeline& simulated, std::int64_t simulated_steps) {
  std::vector<ComparedOp> out;
  std::map<std::pair<Lane, std::string>, std::size_t> index;
  const auto entry = [&](const TimelineEvent& e) -> ComparedOp& {
    const auto [it, fresh] = index.emplace(std::pair(e.lane, e.name), out.size());
    if (fresh) out.push_back({e.lane, e.name, {}, {}});
    return out[it->second];
  };
  for (const TimelineEvent& e : simulated.events) {
    if (e.rank.value == 0) entry(e).simulated += (e.end - e.begin) * (1.0 / static_cast<double>(simulated_steps));
  }
  for (const TimelineEvent& e : measured.events) {
    if (e.rank.value == 0) entry(e).measured += (e.end - e.begin) * (1.0 / static_cast<double>(measured_steps));
  }
  std::stable_sort(out.begin(), out.end(), [](const auto& a, const auto& b) { return a.lane < b.lane; });
  return out;
}

}  // namespace lockstep
