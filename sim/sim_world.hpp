// The simulated World: N ranks, one process, no hardware.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "core/run/world.hpp"
#include "core/spec/cluster_spec.hpp"
#include "core/spec/gpu_spec.hpp"
#include "core/spec/library_spec.hpp"
#include "core/spec/run_spec.hpp"
#include "sim/plan_costs.hpp"
#include "sim/step/step_simulation.hpp"

namespace lockstep::sim {

/// Top-1 after `epoch` epochs of this run; absent when no model covers it.
using Top1Model = std::function<std::optional<Figure>(double epoch)>;

struct WorldSettings {
  RunSpec run;
  ClusterSpec cluster;
  GpuSpec gpu;
  LibrarySpec library;
  Top1Model top1;  ///< may be empty
};

/// Executes step programs by discrete events. A noise-free program is simulated once and repeated; with noise
/// `simulation.sampled_steps` steps are simulated, each rank starting when its previous step ended, and the rest drawn from them (seeded).
/// The straggler share of a step is the wait for the rank whose backward pass ends last, plus the difference between the mean and the slowest rank.
class SimWorld final : public World {
 public:
  explicit SimWorld(WorldSettings settings);
  ~SimWorld() override;

  WorldInfo info() const override;
  Time now() const override;
  void prepare(const RunPlan& plan) override;
  StepResult run(const StepProgram& program, std::span<const StepArgs> steps, const StepObserver& observer) override;
  EvalResult evaluate(const StepProgram& program, const EvalArgs& args) override;
  void save(const std::string& id, const LoopState& state) override;
  LoopState restore(const std::string& id) override;
  bool any(bool mine) override { return mine; }
  Timeline timeline(std::span<const Rank> ranks, std::span<const std::int64_t> steps) const override;

  /// The node for which steps are planned: without NVLink pairs that have failed anywhere in this world.
  const NodeSpec& planning_node() const;
  /// Gradient-ready times after the start of backward, per tensor: input of the Horovod-like bucket policy.
  std::vector<Time> ready_times(const ModelGraph& fused, std::int64_t images_per_rank) const;
  PlanCosts& costs() const;                         ///< the planner's table
  std::vector<BucketReport> bucket_report() const;  ///< of the last simulated step
  /// Which ranks were simulated for the last step: "none: every rank is simulated", "exact: 4 of 2,048 ranks are simulated", ...
  std::string folding() const;
  std::uint64_t digest() const;  ///< of every event simulated so far
  std::int64_t events() const;
  std::int64_t messages() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace lockstep::sim
