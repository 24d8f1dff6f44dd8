// From files to predictions: a run's inputs, checked together, its step program, and what a simulated world makes of it.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "core/plan/step_program.hpp"
#include "core/run/training_loop.hpp"
#include "core/spec/cluster_spec.hpp"
#include "core/spec/gpu_spec.hpp"
#include "core/spec/library_spec.hpp"
#include "core/spec/run_spec.hpp"
#include "sim/sim_world.hpp"

namespace lockstep {

/// Everything that one run needs, read and checked.
struct Inputs {
  RunSpec run;
  ClusterSpec cluster;
  GpuSpec gpu;
  LibrarySpec library;
  sim::Top1Model top1;  ///< may be empty
};

/// Faults that need more than one file: more GPUs than the cluster has, words that only the library or the GPU knows.
/// Fault::where names the file in words; the edge replaces it by a place where it can.
std::vector<Fault> validate(const Inputs& inputs);

/// What is wrong with a protocol's name, which this library does not have, and what was expected; empty for its own and "auto".
std::string unknown_protocol(const LibrarySpec& library, const std::string& protocol);

/// `allreduce.among` or `protocol` leave the library's rule nothing to choose; none for one GPU, other algorithms, no restriction.
std::optional<Fault> nothing_left_fault(const Inputs& inputs);

/// One predicted step at steady state.
struct StepPrediction {
  int gpus = 1;
  std::int64_t global_batch = 0;
  Time step;
  Breakdown parts;
  double images_per_second = 0;
  std::vector<sim::BucketReport> buckets;
  std::int64_t messages = 0, events = 0;
  std::uint64_t digest = 0;
  std::string folding;  ///< which ranks were simulated, in words
};

/// Called now and then during long work with a fraction in [0, 1] and what is being done; false stops it.
using Progress = std::function<bool(double fraction, const std::string& what)>;

/// The steady step: noise-free once, else the mean of `simulation.sampled_steps`.
StepPrediction predict_step(const Inputs& inputs);

/// The step program that both worlds run for `global_batch` images per step. `world` supplies ready times and costs.
StepProgram make_program(const Inputs& inputs, const sim::SimWorld& world, std::int64_t global_batch);

/// The same, with a simulated cluster of its own that supplies them: for worlds that cannot.
ProgramFactory program_factory(const Inputs& inputs);

/// The same run with every algorithm that it leaves to the planner (`auto`) as the planner takes it now: changed figures then change its times, not its plan.
Inputs with_plan_fixed(const Inputs& inputs);
/// The same, without planning: `program` is what the planner makes of `inputs`.
Inputs with_plan_fixed(const Inputs& inputs, const StepProgram& program);

/// The same run on `gpus` GPUs with as many images per GPU: constant batch, slow ranks that do not exist left out.
Inputs at_world_size(Inputs inputs, int gpus);

struct RunPrediction {
  StepPrediction step;
  TrainingResult run;
  Timeline timeline;  ///< of output.trace_ranks
  StepProgram program;
  WorldInfo info;
  std::vector<std::string> warnings;
};

/// The whole run through core's training loop.
RunPrediction predict_run(const Inputs& inputs, const LoopHooks& hooks);

/// Weak scaling: the same images per GPU at every world size of `gpus`; efficiency against one GPU of the same model.
struct CurvePoint {
  StepPrediction prediction;
  double efficiency = 0;
};
std::vector<CurvePoint> predict_curve(const Inputs& inputs, const std::vector<int>& gpus, const Progress& progress);

}  // namespace lockstep
