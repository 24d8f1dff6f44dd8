#include "core/plan/buckets.hpp"

#include <algorithm>
#include <numeric>

#include "core/base/error.hpp"
#include "core/spec/gpu_spec.hpp"

namespace lockstep {

namespace {

/// Groups of tensors in backward order, cut after every tensor for which `close` says so (given the bytes collected so far).
template <class Close>
std::vector<std::vector<TensorId>> cut(const ModelGraph& graph, const std::vector<TensorId>& order, int element_bytes,
                                       Close close) {
  std::vector<std::vector<TensorId>> groups;
  std::int64_t bytes = 0;
  bool open = false;
  for (TensorId id : order) {
    if (!open) groups.emplace_back();
    open = true;
    groups.back().push_back(id);
    bytes += graph.tensor(id).elements() * element_bytes;
    if (close(groups.size() - 1, bytes)) {
      open = false;
      bytes = 0;
    }
  }
  return groups;
}

/// Horovod: every cycle fuses what has become ready, in order, up to the threshold.
std::vector<std::vector<TensorId>> fuse_by_cycle(const ModelGraph& graph, const std::vector<TensorId>& order,
                                                 int element_bytes, const BucketsSpec& spec,
                                                 const std::vector<Time>& ready) {
  const auto tick = [&](TensorId id) {
    return ready.empty() ? 0
                         : (ready[id.index()].picoseconds() + spec.cycle.picoseconds() - 1) / spec.cycle.picoseconds();
  };
  std::vector<std::vector<TensorId>> groups;
  std::int64_t bytes = 0, current = -1;
  for (TensorId id : order) {
    const std::int64_t size = graph.tensor(id).elements() * element_bytes;
    if (groups.empty() || tick(id) > current || bytes + size > spec.size.count()) {
      groups.emplace_back();
      bytes = 0;
    }
    current = std::max(current, tick(id));
    groups.back().push_back(id);
    bytes += size;
  }
  return groups;
}

}  // namespace

Bytes BucketPlan::total() const {
  Bytes sum;
  for (const Bucket& b : buckets) sum += b.bytes();
  return sum;
}

std::string wrong_counts(const ModelGraph& graph, const BucketsSpec& spec) {
  const auto sum = std::accumulate(spec.tensors.begin(), spec.tensors.end(), std::int64_t{0});
  const auto tensors = static_cast<std::int64_t>(graph.tensors.size());
  if (spec.policy != BucketPolicy::Fixed || sum == tensors) return "";
  return "the counts sum to " + std::to_string(sum) + ", but " + graph.name + " has " + std::to_string(tensors) +
         " gradient tensors";
}

BucketPlan plan_buckets(const ModelGraph& graph, const BucketsSpec& spec, Precision precision,
                        const std::vector<Time>& ready) {
  LOCKSTEP_EXPECTS(ready.empty() || ready.size() == graph.tensors.size());
  const int element_bytes = lockstep::element_bytes(precision);
  const bool apart = spec.separate_fp32 && element_bytes == 2;
  std::vector<TensorId> order, fp32;
  for (std::size_t i = graph.tensors.size(); i-- > 0;) {
    const ParamTensor& t = graph.tensors[i];
    (apart && t.is_norm() && spec.policy != BucketPolicy::Fixed ? fp32 : order).push_back(t.id);
  }

  std::vector<std::vector<TensorId>> groups;
  switch (spec.policy) {
    case BucketPolicy::PerTensor:
      groups = cut(graph, order, element_bytes, [](std::size_t, std::int64_t) { return true; });
      break;
    case BucketPolicy::One:
      groups = cut(graph, order, element_bytes, [](std::size_t, std::int64_t) { return false; });
      break;
    case BucketPolicy::Size:
      groups =
          cut(graph, order, element_bytes, [&](std::size_t, std::int64_t bytes) { return bytes >= spec.size.count(); });
      break;
    case BucketPolicy::Ddp:
      groups = cut(graph, order, element_bytes, [&](std::size_t index, std::int64_t bytes) {
        return bytes >= (index == 0 ? spec.first : spec.size).count();
      });
      break;
    case BucketPolicy::Horovod: groups = fuse_by_cycle(graph, order, element_bytes, spec, ready); break;
    case BucketPolicy::Fixed: {
      if (std::string wrong = wrong_counts(graph, spec); !wrong.empty())
        throw ConfigError("run file", "buckets.tensors", std::move(wrong));
      // Boundaries count every tensor; batch-norm gradients then leave for the last bucket.
      auto next = order.begin();
      for (int n : spec.tensors) {
        groups.emplace_back();
        for (int i = 0; i < n; ++i, ++next)
          (apart && graph.tensor(*next).is_norm() ? fp32 : groups.back()).push_back(*next);
        if (groups.back().empty()) groups.pop_back();
      }
      break;
    }
  }

  BucketPlan plan;
  plan.policy = spec.policy;
  plan.coordination.negotiated = spec.policy == BucketPolicy::Horovod;
  if (spec.policy == BucketPolicy::Horovod || spec.policy == BucketPolicy::Fixed) plan.coordination.cycle = spec.cycle;
  const auto add = [&](const std::vector<TensorId>& tensors, int bytes) {
    Bucket b;
    b.id = BucketId(static_cast<std::int64_t>(plan.buckets.size()));
    b.tensors = tensors;
    b.element_bytes = bytes;
    b.last_layer = graph.tensor(tensors.front()).layer;
    for (TensorId id : tensors) {
      b.elements += graph.tensor(id).elements();
      b.last_layer = std::min(b.last_layer, graph.tensor(id).layer);  // backward reaches it last
    }
    plan.buckets.push_back(std::move(b));
  };
  for (const auto& group : groups) add(group, element_bytes);
  if (!fp32.empty()) add(fp32, 4);
  return plan;
}

std::vector<TensorId> tensors_in_order(const BucketPlan& plan) {
  std::vector<TensorId> order;
  for (const Bucket& bucket : plan.buckets) order.insert(order.end(), bucket.tensors.begin(), bucket.tensors.end());
  return order;
}

}  // namespace lockstep
