#include "core/plan/step_program.hpp"

#include <algorithm>

#include "core/base/error.hpp"

namespace lockstep {

std::string StepProgram::name(const Op& op) const {
  const std::string micro = accumulation > 1 && op.kind != OpKind::Allreduce && op.kind != OpKind::Update
                                ? " (micro-step " + std::to_string(op.micro) + ")"
                                : "";
  switch (op.kind) {
    case OpKind::Load: return "load" + micro;
    case OpKind::Forward: return "forward " + graph->layer(op.layer).name + micro;
    case OpKind::Backward: return "backward " + graph->layer(op.layer).name + micro;
    case OpKind::Allreduce: return "allreduce bucket " + std::to_string(op.bucket.value);
    case OpKind::Update: return "update " + std::to_string(op.group);
  }
  return "?";
}

namespace {

template <class... Numbers>
void add(Digest& d, Numbers... numbers) {
  (d.add(static_cast<std::uint64_t>(numbers)), ...);
}

template <class Id>
void add_ids(Digest& d, const std::vector<Id>& ids) {
  add(d, ids.size());
  for (const Id id : ids) add(d, id.value);
}

void add_graph(Digest& d, const ModelGraph& graph) {
  d.add(graph.name);
  add(d, graph.classes, graph.layers.size(), graph.tensors.size());
  for (const Layer& l : graph.layers) {
    d.add(l.name);
    add_ids(d, l.inputs);
    add(d, l.kind, l.in.c, l.in.h, l.in.w, l.out.c, l.out.h, l.out.w, l.r, l.s, l.stride, l.pad, l.groups, l.bias,
        l.fused_add, l.fused_relu, l.gamma_zero);
  }
  for (const ParamTensor& t : graph.tensors) {
    add(d, t.layer.value, t.role, t.dims.size());
    for (const std::int64_t dim : t.dims) add(d, dim);
  }
}

void add_collective(Digest& d, const CollectivePlan& c) {
  add(d, c.algorithm, c.protocol, c.grid.x, c.grid.y, c.elements, c.element_bytes, c.phases.size());
  for (const Phase& p : c.phases) {
    add(d, p.op, p.group, p.algorithm, p.chunk, p.copies, p.node, p.orders.size(), p.last_orders.size());
    for (const auto* orders : {&p.orders, &p.last_orders}) {
      for (const auto& order : *orders) {
        add(d, order.size());
        for (const int member : order) add(d, member);
      }
    }
  }
}

}  // namespace

std::uint64_t digest_of(const StepProgram& program) {
  Digest d;
  add_graph(d, *program.graph);
  add(d, program.world_size, program.accumulation, program.norm_group);
  add(d, program.buckets.buckets.size(), program.buckets.coordination.negotiated,
      program.buckets.coordination.cycle.picoseconds());
  for (const Bucket& b : program.buckets.buckets) {
    add(d, b.element_bytes, b.elements, b.last_layer.value);
    add_ids(d, b.tensors);
  }
  add(d, program.collectives.size(), program.updates.size(), program.ops.size());
  for (const CollectivePlan& c : program.collectives) add_collective(d, c);
  for (const UpdateGroup& u : program.updates) add_ids(d, u.tensors);
  for (const Op& op : program.ops) {
    add(d, op.kind, op.lane, op.layer.value, op.bucket.value, op.group, op.micro);
    add_ids(d, op.needs);
  }
  return d.value();
}

StepProgram build_step_program(std::shared_ptr<const ModelGraph> graph, BucketPlan buckets,
                               std::vector<CollectivePlan> collectives, int accumulation, bool overlap,
                               UpdateTime update, int world_size, std::int64_t norm_group) {
  LOCKSTEP_EXPECTS(accumulation >= 1 && world_size >= 1 && collectives.size() == buckets.buckets.size());
  StepProgram p;
  p.graph = std::move(graph);
  p.buckets = std::move(buckets);
  p.collectives = std::move(collectives);
  p.accumulation = accumulation;
  p.world_size = world_size;
  p.norm_group = norm_group;

  const auto add = [&](OpKind kind, Lane lane, int micro, std::vector<OpId> needs) -> Op& {
    Op op;
    op.id = OpId(static_cast<std::int64_t>(p.ops.size()));
    op.kind = kind;
    op.lane = lane;
    op.micro = micro;
    op.needs = std::move(needs);
    p.ops.push_back(std::move(op));
    return p.ops.back();
  };

  std::vector<OpId> allreduce_of(p.buckets.buckets.size());
  OpId previous;  // the compute lane is one chain
  for (int micro = 0; micro < accumulation; ++micro) {
    const OpId load = add(OpKind::Load, Lane::Input, micro, {}).id;
    bool first = true;
    for (const Layer& layer : p.graph->layers) {
      if (layer.kind == LayerKind::Input) continue;
      std::vector<OpId> needs;
      if (previous) needs.push_back(previous);
      if (first) needs.push_back(load);
      first = false;
      Op& op = add(OpKind::Forward, Lane::Compute, micro, std::move(needs));
      op.layer = layer.id;
      previous = op.id;
    }
    const bool last_micro = micro == accumulation - 1;
    const auto issue = [&](BucketId bucket, OpId after) {
      Op& op = add(OpKind::Allreduce, Lane::Communication, micro, {after});
      op.bucket = bucket;
      allreduce_of[bucket.index()] = op.id;
    };
    std::size_t next = 0;  // buckets are issued in order
    for (auto layer = p.graph->layers.rbegin(); layer != p.graph->layers.rend(); ++layer) {
      if (layer->kind == LayerKind::Input) continue;
      Op& op = add(OpKind::Backward, Lane::Compute, micro, {previous});
      op.layer = layer->id;
      previous = op.id;
      if (!last_micro || !overlap) continue;
      const OpId done = op.id;
      while (next < p.buckets.buckets.size() && p.buckets.buckets[next].last_layer >= layer->id)
        issue(p.buckets.buckets[next++].id, done);
    }
    if (last_micro) {
      while (next < p.buckets.buckets.size()) issue(p.buckets.buckets[next++].id, previous);
    }
  }

  const auto add_update = [&](UpdateGroup group, std::vector<OpId> needs) {
    needs.push_back(previous);
    Op& op = add(OpKind::Update, Lane::Compute, accumulation - 1, std::move(needs));
    op.group = static_cast<int>(p.updates.size());
    previous = op.id;
    p.updates.push_back(std::move(group));
  };
  if (update == UpdateTime::Whole) {
    UpdateGroup all;
    for (const auto& tensor : p.graph->tensors) all.tensors.push_back(tensor.id);
    add_update(std::move(all), allreduce_of);
  } else {
    for (const Bucket& bucket : p.buckets.buckets) add_update({bucket.tensors}, {allreduce_of[bucket.id.index()]});
  }
  p.digest = digest_of(p);
  return p;
}

std::int64_t images_of_rank(std::int64_t images, int world_size, Rank rank) {
  const auto at = [&](std::int64_t r) { return images * r / world_size; };
  return at(rank.value + 1) - at(rank.value);
}

Span images_of_micro_step(const StepProgram& program, std::int64_t images, Rank rank, int micro) {
  LOCKSTEP_EXPECTS(0 <= micro && micro < program.accumulation);
  if (program.norm_group == 0) {
    return part(part({0, images}, rank.value, program.world_size), micro, program.accumulation);
  }
  const std::int64_t group = std::int64_t{rank.value} * program.accumulation + micro;
  const std::int64_t begin = std::min(images, group * program.norm_group);
  return {begin, std::min(images, begin + program.norm_group) - begin};
}

}  // namespace lockstep
