// One training step as operations, dependencies and lanes: the same program for every rank and for both worlds.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "core/base/digest.hpp"
#include "core/base/ids.hpp"
#include "core/model/graph.hpp"
#include "core/plan/buckets.hpp"
#include "core/plan/collective.hpp"
#include "core/spec/run_spec.hpp"

namespace lockstep {

enum class OpKind { Load, Forward, Backward, Allreduce, Update };

/// Lanes run at the same time on one rank; the operations of a lane run in program order.
enum class Lane { Input, Compute, Communication };

struct Op {
  OpId id;
  OpKind kind = OpKind::Load;
  Lane lane = Lane::Input;
  LayerId layer;            ///< Forward, Backward
  BucketId bucket;          ///< Allreduce
  int group = -1;           ///< Update: index into StepProgram::updates
  int micro = 0;            ///< micro-step of an accumulated step
  std::vector<OpId> needs;  ///< operations that must be complete, all earlier in the program
};

/// An optimizer update over some tensors.
struct UpdateGroup {
  std::vector<TensorId> tensors;
};

/// Names layers, tensors and buckets by id, never ranks or pointers to their data. Value type; copying is cheap enough to be rare.
struct StepProgram {
  std::shared_ptr<const ModelGraph> graph;  ///< fused
  BucketPlan buckets;
  std::vector<CollectivePlan> collectives;  ///< one per bucket
  std::vector<UpdateGroup> updates;
  std::vector<Op> ops;  ///< in an order that respects `needs`
  int accumulation = 1;
  int world_size = 1;
  std::int64_t norm_group = 0;  ///< images of a micro-step by rule (TrainingSpec::norm_group); 0 = an equal share

  /// digest_of() as build_step_program() left it: worlds cache prepared programs by it. Whoever changes a program afterwards sets it anew.
  std::uint64_t digest = 0;

  std::string name(const Op& op) const;  ///< "forward layer1.0.conv1", "allreduce bucket 2", "update 0"
};

/// Equal for equal programs, and of everything that a program holds but names of layers' tensors, which follow from the layers. O(operations +
/// members of all ring channels).
std::uint64_t digest_of(const StepProgram& program);

/// Load -> forward layers -> backward layers in reverse -> updates, `accumulation` times all but the update; allreduces only in
/// the last micro-step. With `overlap` a bucket's allreduce needs the backward of its last layer, otherwise the last backward.
/// Update groups: Whole = one group over all tensors after every bucket; PerBucket = one per bucket. Frozen order on each lane.
StepProgram build_step_program(std::shared_ptr<const ModelGraph> graph, BucketPlan buckets,
                               std::vector<CollectivePlan> collectives, int accumulation, bool overlap,
                               UpdateTime update, int world_size, std::int64_t norm_group = 0);

/// What differs between ranks: how many of the step's images rank `r` takes: floor((r + 1) B / N) - floor(r B / N).
std::int64_t images_of_rank(std::int64_t images, int world_size, Rank rank);

/// Which of the step's images, by position in [0, images), rank `r` takes in micro-step `micro`. Without norm groups part
/// `micro` of the rank's share, which differ by at most one; with groups of G the images [k G, (k + 1) G), k = r m + micro, as
/// far as there are so many: the same groups for every number of ranks. Together the parts tile the step.
Span images_of_micro_step(const StepProgram& program, std::int64_t images, Rank rank, int micro);

}  // namespace lockstep
