#include "sim/step/lane_prefix.hpp"

#include <algorithm>
#include <numeric>

namespace lockstep::sim {

LanePrefix lane_prefix(const StepProgram& program, const RankDurations& durations) {
  std::vector<Time> end(program.ops.size());
  LanePrefix p;
  p.full.resize(program.buckets.buckets.size());
  Time t;
  for (const Op& op : program.ops) {
    const Time length = durations.of_op[op.id.index()];
    if (op.kind == OpKind::Forward || op.kind == OpKind::Backward) {
      const LayerKind kind = program.graph->layer(op.layer).kind;
      p.work.add(length, kind != LayerKind::Conv && kind != LayerKind::Linear);
      if (p.runs.empty() || p.runs.back().kind != op.kind) p.runs.push_back({op.kind, t, t});
      t += length;
      p.runs.back().end = t;
      end[op.id.index()] = t;
    } else if (op.kind == OpKind::Allreduce) {
      Time full;
      for (OpId need : op.needs) full = std::max(full, end[need.index()]);
      p.full[op.bucket.index()] = full;
    }
  }
  p.full_order.resize(p.full.size());
  std::iota(p.full_order.begin(), p.full_order.end(), 0);
  std::stable_sort(p.full_order.begin(), p.full_order.end(), [&](int a, int b) {
    return p.full[static_cast<std::size_t>(a)] < p.full[static_cast<std::size_t>(b)];
  });
  return p;
}

}  // namespace lockstep::sim
