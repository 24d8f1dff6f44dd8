// The points of a sweep: which values, which run, what is wrong with them, and a fingerprint of everything that goes
// into each.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "experiments/compose.hpp"
#include "experiments/config_io/config_io.hpp"
#include "experiments/inputs/shared_files.hpp"
#include "experiments/sweep/axis.hpp"

namespace lockstep {

/// What the user asked for.
struct SweepRequest {
  std::filesystem::path run_file;
  std::vector<std::string> sets;   ///< path=value, for every point
  std::vector<std::string> overs;  ///< path=VALUES (axis.hpp)
  std::string per_gpu_batch;       ///< VALUES: images per GPU and step, which the global batch follows; may be empty
  bool zip = false;                ///< walk the axes together, not all combinations; one value goes with all
  DataPaths paths;
};

struct SweepPoint {
  std::size_t index = 0;            ///< from 0; the last axis runs fastest
  std::vector<std::string> values;  ///< one per axis
  int gpus = 0;                     ///< 0 if the run could not be read
  std::int64_t global_batch = 0;
  std::vector<Fault> faults;  ///< not empty: this point cannot run
  std::string digest;         ///< of all that the point reads (fingerprint.hpp); of the faults, if there are any
};

struct SweepPlan {
  std::vector<Axis> axes;  ///< in the order of the command line; the path of --per-gpu-batch is kPerGpuBatch
  std::vector<SweepPoint> points;
  std::shared_ptr<SharedFiles> files;  ///< what the points were read from
};

inline constexpr const char* kPerGpuBatch = "per_gpu_batch";

/// Parses the axes and reads every point on all cores. `poll` as in for_each_in_parallel, may be empty. Throws
/// ConfigError, with all faults at once, for axes that cannot be: unknown or repeated keys, keys also in `sets`,
/// unequal lengths with `zip`, more than kMostPoints; and for faults that every point has, since none of them could
/// run. Files are read once for all points. Cost: about 0.15 ms per point, 3 ms if it changes the GPU's file. If `poll` stopped it, the plan has
/// no points.
SweepPlan plan_sweep(const SweepRequest& request, const std::function<bool(std::size_t done, std::size_t count)>& poll);

/// What one point runs. Throws ConfigError as SweepPoint::faults has it; a place that an axis made is named by the axis
/// and its value.
Inputs read_point(const SweepRequest& request, const std::vector<Axis>& axes, const std::vector<std::string>& values,
                  SharedFiles& files);

/// "cluster.gpus=4, training.precision=fp16", for people.
std::string describe(const std::vector<Axis>& axes, const SweepPoint& point);

}  // namespace lockstep
