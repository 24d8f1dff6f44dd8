// What a rank computes before its first update, and the ticks at which a library looks for complete buckets.
#include "sim/step/lane_prefix.hpp"

#include <gtest/gtest.h>

#include "sim/step/communication_lanes.hpp"

namespace lockstep::sim {
namespace {

Time us(double n) { return Time::microseconds(n); }

/// Two layers: a convolution and batch norm. Forward 10 and 2 us, backward 4 and 20 us; bucket 0 needs the last layer, bucket 1 the first.
TEST(LanePrefix, HandMadeStep) {
  auto graph = std::make_shared<ModelGraph>();
  graph->layers.resize(2);
  graph->layers[0].kind = LayerKind::Conv;
  graph->layers[1].kind = LayerKind::BatchNorm;
  for (std::size_t l = 0; l < 2; ++l) graph->layers[l].id = LayerId(static_cast<std::int64_t>(l));
  StepProgram program;
  program.graph = graph;
  program.buckets.buckets.resize(2);
  const auto add = [&](OpKind kind, int layer, int bucket, std::vector<OpId> needs) {
    Op op;
    op.id = OpId(static_cast<std::int64_t>(program.ops.size()));
    op.kind = kind;
    if (layer >= 0) op.layer = LayerId(layer);
    if (bucket >= 0) op.bucket = BucketId(bucket);
    op.needs = std::move(needs);
    program.ops.push_back(std::move(op));
  };
  add(OpKind::Forward, 0, -1, {});
  add(OpKind::Forward, 1, -1, {});
  add(OpKind::Backward, 1, -1, {});
  add(OpKind::Allreduce, -1, 1, {OpId(2)});
  add(OpKind::Backward, 0, -1, {});
  add(OpKind::Allreduce, -1, 0, {OpId(4)});
  RankDurations d;
  d.of_op = {us(10), us(2), us(4), Time::zero(), us(20), Time::zero()};

  const LanePrefix p = lane_prefix(program, d);
  EXPECT_EQ(p.work.end(), us(36));
  EXPECT_EQ(p.full, (std::vector<Time>{us(36), us(16)}));
  EXPECT_EQ(p.full_order, (std::vector<int>{1, 0}));
  ASSERT_EQ(p.runs.size(), 2u);
  EXPECT_EQ(p.runs[0].kind, OpKind::Forward);
  EXPECT_EQ(p.runs[0].end, us(12));
  EXPECT_EQ(p.runs[1].begin, us(12));
  EXPECT_EQ(p.runs[1].end, us(36));
  // Memory twice as slow: batch norm's 6 us become 12.
  EXPECT_EQ(p.work.picoseconds(us(36), {1, 2}), 42e6);
}

TEST(NextTick, MultiplesOfTheCycle) {
  EXPECT_EQ(next_tick(us(7), Time::zero()), us(7));
  EXPECT_EQ(next_tick(us(7), us(5)), us(10));
  EXPECT_EQ(next_tick(us(10), us(5)), us(10));
  EXPECT_EQ(next_tick(Time::zero(), us(5)), Time::zero());
}

}  // namespace
}  // namespace lockstep::sim
