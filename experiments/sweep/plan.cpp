#include "experiments/sweep/plan.hpp"

#include <algorithm>
#include <charconv>
#include <set>

#include <fmt/format.h>

#include "core/base/digest.hpp"
#include "experiments/config_io/read_run.hpp"
#include "experiments/inputs/read_inputs.hpp"
#include "experiments/parallel.hpp"
#include "experiments/sweep/fingerprint.hpp"

namespace lockstep {

namespace {

constexpr const char* kGlobalBatch = "training.global_batch";

/// What --over may name, but for the keys of [cluster_file] and its like.
std::vector<std::string> known_keys() {
  std::vector<std::string> names;
  for (const RunKey& k : run_keys()) {
    if (!k.value.empty()) names.push_back(k.key);
  }
  return names;
}

/// A key of [cluster_file] and its like: whether the file has it is told when a point is read.
bool of_a_file(const std::string& path) {
  for (const char* section : {"cluster_file.", "gpu_file.", "library_file."}) {
    if (path.rfind(section, 0) == 0) return true;
  }
  return false;
}

/// Of --per-gpu-batch; 0 if the text is none.
std::int64_t images_of(const std::string& text) {
  std::int64_t n = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), n);
  return error == std::errc() && end == text.data() + text.size() && n <= 1000000000 ? std::max<std::int64_t>(0, n) : 0;
}

/// Faults of the axes themselves, whatever the run file holds.
void check_axes(const SweepRequest& request, const std::vector<Axis>& axes, std::vector<Fault>& faults) {
  const auto known = known_keys();
  std::set<std::string> seen;
  for (const Axis& axis : axes) {
    if (axis.path.empty()) continue;  // said by the parser
    const auto fault = [&](const std::string& message) { faults.push_back({axis.flag, axis.path, message}); };
    const bool batch = axis.path == kPerGpuBatch;
    if (!batch && !of_a_file(axis.path) && std::find(known.begin(), known.end(), axis.path) == known.end()) {
      const std::string near = nearest(axis.path, known);
      fault(near.empty() ? "unknown key; expected section.key of the run file, such as cluster.gpus"
                         : fmt::format("unknown key; did you mean \"{}\"?", near));
    } else if (axis.path.rfind("output.", 0) == 0) {
      fault("changes no prediction; expected a key outside [output]");
    }
    for (const auto& value : axis.values) {
      if (batch && images_of(value) == 0)
        fault(fmt::format("\"{}\" is not a number of images; expected a whole number from 1 to 1000000000", value));
    }
    if (!seen.insert(batch ? kGlobalBatch : axis.path).second)
      fault(batch ? "the global batch follows the GPUs, so training.global_batch cannot be swept too"
                  : "is swept twice; expected all its values in one --over");
    for (const auto& set : request.sets) {
      if (set.rfind((batch ? kGlobalBatch : axis.path) + "=", 0) == 0)
        fault("is also given by --set " + set + "; expected one of the two");
    }
  }
}

/// How many points there are; 0 with a fault if the axes do not go together.
std::size_t count_points(const SweepRequest& request, const std::vector<Axis>& axes, std::vector<Fault>& faults) {
  if (axes.empty()) {
    faults.push_back({"sweep", "", "nothing to sweep; expected --over path=VALUES, such as --over cluster.gpus=4..64"});
    return 0;
  }
  std::size_t count = 1;
  for (const Axis& axis : axes) {
    const std::size_t n = std::max<std::size_t>(1, axis.values.size());
    if (!request.zip && count > kMostPoints / n) {
      faults.push_back({axis.flag, axis.path, fmt::format("more than {} points in all", kMostPoints)});
      return 0;
    }
    if (!request.zip) count *= n;
    if (request.zip && n > 1 && count > 1 && n != count) {
      faults.push_back({axis.flag, axis.path,
                        fmt::format("{} values, but another axis has {}; --zip expects equal "
                                    "numbers (or one value)",
                                    n, count)});
    }
    if (request.zip) count = std::max(count, n);
  }
  return count;
}

std::vector<std::string> values_at(const SweepRequest& request, const std::vector<Axis>& axes, std::size_t index) {
  std::vector<std::string> values(axes.size());
  for (std::size_t a = axes.size(); a-- > 0;) {
    const auto& all = axes[a].values;
    values[a] = all[request.zip ? (all.size() == 1 ? 0 : index) : index % all.size()];
    if (!request.zip) index /= all.size();
  }
  return values;
}

/// The overrides of a point: what each is in the words of the command line, and what it sets.
struct Override {
  std::string shown, set;
};

std::vector<Override> overrides_of(const std::vector<Axis>& axes, const std::vector<std::string>& values) {
  std::vector<Override> out;
  for (std::size_t a = 0; a < axes.size(); ++a) {
    if (axes[a].path == kPerGpuBatch) continue;
    const std::string set = axes[a].path + "=" + values[a];
    out.push_back({"--over " + set, set});
  }
  return out;
}

void read_faults(SweepPoint& point, const SweepRequest& request, const SweepPlan& plan, Fingerprints& prints) {
  try {
    const Inputs inputs = read_point(request, plan.axes, point.values, *plan.files);
    point.gpus = inputs.run.cluster.gpus;
    point.global_batch = inputs.run.training.global_batch;
    point.digest = prints.of(inputs);
  } catch (const ConfigError& e) {
    point.faults = e.faults();
    Digest digest;
    for (const Fault& f : point.faults) digest.add(f.text());
    point.digest = digest.text();
  }
}

/// No point can run without these being mended, so they belong to the sweep.
std::vector<Fault> faults_of_all(const std::vector<SweepPoint>& points) {
  std::vector<Fault> common = points.front().faults;
  for (const SweepPoint& point : points) {
    std::set<std::string> here;
    for (const Fault& f : point.faults) here.insert(f.text());
    std::erase_if(common, [&](const Fault& f) { return here.count(f.text()) == 0; });
    if (common.empty()) break;
  }
  return common;
}

}  // namespace

Inputs read_point(const SweepRequest& request, const std::vector<Axis>& axes, const std::vector<std::string>& values,
                  SharedFiles& files) {
  auto overrides = overrides_of(axes, values);
  std::vector<std::string> sets = request.sets;
  for (const auto& o : overrides) sets.push_back(o.set);
  std::vector<Fault> more;
  for (std::size_t a = 0; a < axes.size(); ++a) {
    if (axes[a].path != kPerGpuBatch) continue;
    Reader reader(files.run(request.run_file), sets);
    const RunSpec run = read_run_fields(reader);  // its faults come again below
    const std::string shown = "--per-gpu-batch " + values[a];
    if (!run.schedule.batches.empty())
      more.push_back({shown, "schedule.batches", "does not follow the GPUs; expected none: --set schedule.batches=[]"});
    overrides.push_back(
        {shown, fmt::format("{}={}", kGlobalBatch, images_of(values[a]) * std::max(1, run.cluster.gpus))});
    sets.push_back(overrides.back().set);
  }
  // A sweep draws no trace and no curve.
  for (const char* set : {"output.trace=false", "output.curve=[]"}) sets.emplace_back(set);
  Inputs inputs;
  try {
    inputs = read_inputs(request.run_file, sets, files);
  } catch (const ConfigError& e) {
    std::vector<Fault> faults = e.faults();
    for (Fault& f : faults) {
      for (const auto& o : overrides) {
        if (f.where == "--set " + o.set) f.where = o.shown;
      }
    }
    faults.insert(faults.end(), more.begin(), more.end());
    throw ConfigError(std::move(faults));
  }
  if (!more.empty()) throw ConfigError(std::move(more));
  inputs.run.output.trace_ranks.clear();
  return inputs;
}

SweepPlan plan_sweep(const SweepRequest& request,
                     const std::function<bool(std::size_t done, std::size_t count)>& poll) {
  SweepPlan plan;
  plan.files = std::make_shared<SharedFiles>(request.paths);
  std::vector<Fault> faults;
  for (const auto& over : request.overs) plan.axes.push_back(parse_axis(over, "--over", faults));
  if (!request.per_gpu_batch.empty()) {
    const std::string flag = "--per-gpu-batch " + request.per_gpu_batch;
    plan.axes.push_back({kPerGpuBatch, parse_values(request.per_gpu_batch, flag, "", faults), flag});
  }
  check_axes(request, plan.axes, faults);
  const std::size_t count = count_points(request, plan.axes, faults);
  if (!faults.empty()) {
    // A wrong run file or --set is told in the same breath, as far as it can be known without the axes.
    try {
      Reader reader(request.run_file, request.sets);
      read_run_fields(reader);
      reader.finish();
    } catch (const ConfigError& e) {
      faults.insert(faults.end(), e.faults().begin(), e.faults().end());
    }
    throw ConfigError(std::move(faults));
  }
  plan.points.resize(count);
  Fingerprints prints(request.paths);
  const bool whole = for_each_in_parallel(
      count, usable_threads(),
      [&](std::size_t i) {
        plan.points[i].index = i;
        plan.points[i].values = values_at(request, plan.axes, i);
        read_faults(plan.points[i], request, plan, prints);
      },
      [&](std::size_t done) { return !poll || poll(done, count); });
  if (!whole) return {};
  if (auto common = faults_of_all(plan.points); !common.empty()) throw ConfigError(std::move(common));
  return plan;
}

std::string describe(const std::vector<Axis>& axes, const SweepPoint& point) {
  std::string out;
  for (std::size_t a = 0; a < axes.size(); ++a)
    out += fmt::format("{}{}={}", out.empty() ? "" : ", ", axes[a].path, point.values[a]);
  return out;
}

}  // namespace lockstep
