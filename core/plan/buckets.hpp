// Gradients grouped into buckets, in the order backward produces them.
#pragma once

#include <string>
#include <vector>

#include "core/base/ids.hpp"
#include "core/base/units.hpp"
#include "core/model/graph.hpp"
#include "core/spec/run_spec.hpp"

namespace lockstep {

struct Bucket {
  BucketId id;
  std::vector<TensorId> tensors;  ///< in backward order
  std::int64_t elements = 0;
  int element_bytes = 4;  ///< on the wire
  LayerId last_layer;     ///< the layer whose backward pass completes the bucket
  Bytes bytes() const { return Bytes(elements * element_bytes); }
};

/// How the ranks agree that a bucket is full (facts, published.md 1b; Horovod).
struct Coordination {
  bool negotiated = false;  ///< one round over all ranks per cycle
  Time cycle;               ///< a bucket starts at the next multiple of this after it is full; zero = at once
};

/// Invariant: every tensor of the graph is in exactly one bucket.
struct BucketPlan {
  BucketPolicy policy = BucketPolicy::One;
  std::vector<Bucket> buckets;  ///< in the order their allreduces are issued
  Coordination coordination;
  Bytes total() const;
};

/// All tensors, bucket after bucket: laid out so, each bucket is one span.
std::vector<TensorId> tensors_in_order(const BucketPlan& plan);

/// What is wrong with the counts of policy Fixed for this graph; empty if nothing is, or for another policy.
std::string wrong_counts(const ModelGraph& graph, const BucketsSpec& spec);

/// PerTensor; One; Size: closes once it holds at least `size`; Fixed: tensor counts from the output end; Ddp: as PyTorch's
/// reducer, first bucket closes once >= `first`, later ones once >= `size`; Horovod: what is ready within a cycle, fused up to
/// `size` (never beyond it unless one tensor is larger): needs `ready`, the time at which each tensor's gradient is complete.
/// Tensors go in reverse of forward order (within a layer too). `separate_fp32`: BN gradients stay fp32 in one last bucket.
/// Throws ConfigError (key "buckets.tensors") if fixed counts do not sum to the tensors they group.
BucketPlan plan_buckets(const ModelGraph& graph, const BucketsSpec& spec, Precision precision,
                        const std::vector<Time>& ready = {});

}  // namespace lockstep
