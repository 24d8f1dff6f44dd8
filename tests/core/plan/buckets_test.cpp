#include "core/plan/buckets.hpp"

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <set>

#include "core/base/error.hpp"
#include "core/model/zoo.hpp"
#include "core/plan/step_program.hpp"

namespace lockstep {
namespace {

const ModelGraph& resnet50() {
  static const ModelGraph graph = fuse(build_model("resnet50"));
  return graph;
}

BucketsSpec spec_of(BucketPolicy policy) {
  BucketsSpec s;
  s.policy = policy;
  return s;
}

TEST(Buckets, PerTensorAndOne) {
  EXPECT_EQ(plan_buckets(resnet50(), spec_of(BucketPolicy::PerTensor), Precision::Fp32).buckets.size(), 161u);
  const BucketPlan one = plan_buckets(resnet50(), spec_of(BucketPolicy::One), Precision::Fp16);
  ASSERT_EQ(one.buckets.size(), 1u);
  EXPECT_EQ(one.total(), Bytes(25557032 * 2));
  EXPECT_EQ(resnet50().layer(one.buckets[0].last_layer).name, "conv1");
}

TEST(Buckets, FujitsusGroups) {
  // 3, 21, 57 and 80 tensors from the output end; batch-norm gradients apart in fp32. The first group is fc.bias, fc.weight and one gamma or beta:
  // 1,000 + 2,048,000 fp16 elements stay.
  BucketsSpec s = spec_of(BucketPolicy::Fixed);
  s.tensors = {3, 21, 57, 80};
  s.separate_fp32 = true;
  const BucketPlan plan = plan_buckets(resnet50(), s, Precision::Fp16);
  ASSERT_EQ(plan.buckets.size(), 5u);
  EXPECT_EQ(plan.buckets[0].elements, 2049000);
  EXPECT_EQ(plan.buckets[4].element_bytes, 4);
  EXPECT_EQ(plan.buckets[4].elements, 53120);  // 2 x 26,560 channels of 53 norms
  EXPECT_EQ(plan.buckets[4].tensors.size(), 106u);
  EXPECT_FALSE(plan.coordination.negotiated);
}

TEST(Buckets, FixedCountsMustSum) {
  BucketsSpec s = spec_of(BucketPolicy::Fixed);
  s.tensors = {3, 21};
  EXPECT_THROW(plan_buckets(resnet50(), s, Precision::Fp16), ConfigError);
}

TEST(Buckets, DdpClosesAfterExceeding) {
  // fp32: fc.bias (4 kB) + fc.weight (8.2 MB) exceed 1 MiB and close the first bucket; the others close at 25 MiB or more.
  const BucketPlan plan = plan_buckets(resnet50(), spec_of(BucketPolicy::Ddp), Precision::Fp32);
  EXPECT_EQ(plan.buckets[0].tensors.size(), 2u);
  EXPECT_EQ(plan.buckets[0].bytes(), Bytes((1000 + 2048000) * 4));
  for (std::size_t i = 1; i + 1 < plan.buckets.size(); ++i) EXPECT_GE(plan.buckets[i].bytes(), Bytes::mib(25));
  EXPECT_EQ(plan.buckets.size(), 5u);  // as the fact base counts for 1 + 25 MiB
}

TEST(Buckets, HorovodFusesWhatIsReadyInACycle) {
  // Tensors ready at 0.4, 0.9, 1.1 ms (from the output end) with a cycle of 1 ms: two in the first tick, one in the second.
  GraphBuilder b("three", {4, 1, 1});
  LayerId x = b.linear("a", b.input(), 4);
  const ModelGraph g = std::move(b).finish(x);
  ASSERT_EQ(g.tensors.size(), 2u);
  BucketsSpec s = spec_of(BucketPolicy::Horovod);
  s.cycle = Time::milliseconds(1);
  EXPECT_EQ(plan_buckets(g, s, Precision::Fp32, {Time::microseconds(900), Time::microseconds(400)}).buckets.size(), 1u);
  EXPECT_EQ(plan_buckets(g, s, Precision::Fp32, {Time::microseconds(1100), Time::microseconds(400)}).buckets.size(),
            2u);
  s.size = Bytes(70);  // the weight alone has 64 bytes, the bias 16
  EXPECT_EQ(plan_buckets(g, s, Precision::Fp32, {Time::microseconds(900), Time::microseconds(400)}).buckets.size(), 2u);
  EXPECT_TRUE(plan_buckets(g, s, Precision::Fp32).coordination.negotiated);
}

TEST(Buckets, EveryTensorInExactlyOne) {
  EXPECT_TRUE(rc::check([] {
    BucketsSpec s = spec_of(*rc::gen::element(BucketPolicy::PerTensor, BucketPolicy::One, BucketPolicy::Size,
                                              BucketPolicy::Ddp, BucketPolicy::Horovod));
    s.size = Bytes(*rc::gen::inRange<std::int64_t>(1, 100000000));
    s.first = Bytes(*rc::gen::inRange<std::int64_t>(1, 10000000));
    s.separate_fp32 = *rc::gen::arbitrary<bool>();
    std::set<int> seen;
    std::int64_t elements = 0;
    const BucketPlan plan = plan_buckets(resnet50(), s, *rc::gen::element(Precision::Fp16, Precision::Fp32));
    for (const Bucket& b : plan.buckets) {
      elements += b.elements;
      for (std::size_t i = 0; i < b.tensors.size(); ++i) {
        RC_ASSERT(seen.insert(b.tensors[i].value).second);
        if (i > 0) RC_ASSERT(b.tensors[i] < b.tensors[i - 1]);  // backward order
        RC_ASSERT(resnet50().tensor(b.tensors[i]).layer >= b.last_layer);
      }
    }
    RC_ASSERT(seen.size() == 161u);
    RC_ASSERT(elements == 25557032);
  }));
}

StepProgram program_of(int accumulation, bool overlap, UpdateTime update) {
  auto graph = std::make_shared<const ModelGraph>(resnet50());
  BucketPlan buckets = plan_buckets(*graph, spec_of(BucketPolicy::Ddp), Precision::Fp32);
  std::vector<CollectivePlan> plans;
  for (const Bucket& b : buckets.buckets) {
    CollectiveRequest r;
    r.world_size = 4;
    r.elements = b.elements;
    plans.push_back(plan_collective(r));
  }
  return build_step_program(graph, buckets, plans, accumulation, overlap, update, 4);
}

TEST(StepProgram, NeedsPointBackwardsAndBucketsFollowTheirLayer) {
  const StepProgram p = program_of(2, true, UpdateTime::Whole);
  std::map<int, int> backward_of;
  for (const Op& op : p.ops) {
    for (OpId need : op.needs) EXPECT_LT(need, op.id);
    if (op.kind == OpKind::Backward && op.micro == 1) backward_of[op.layer.value] = op.id.value;
    if (op.kind == OpKind::Allreduce) {
      EXPECT_EQ(op.micro, 1);
      ASSERT_EQ(op.needs.size(), 1u);
      EXPECT_EQ(op.needs[0].value, backward_of[p.buckets.buckets[op.bucket.index()].last_layer.value]);
    }
  }
}

TEST(StepProgram, WithoutOverlapBucketsWaitForTheLastBackward) {
  const StepProgram p = program_of(1, false, UpdateTime::Whole);
  OpId last;
  for (const Op& op : p.ops) {
    if (op.kind == OpKind::Backward) last = op.id;
    if (op.kind == OpKind::Allreduce) {
      EXPECT_EQ(op.needs, std::vector<OpId>{last});
    }
  }
}

TEST(StepProgram, Updates) {
  EXPECT_EQ(program_of(1, true, UpdateTime::Whole).updates.size(), 1u);
  const StepProgram p = program_of(1, true, UpdateTime::PerBucket);
  EXPECT_EQ(p.updates.size(), p.buckets.buckets.size());
  EXPECT_NE(p.digest, program_of(1, true, UpdateTime::Whole).digest);
  EXPECT_EQ(p.digest, program_of(1, true, UpdateTime::PerBucket).digest);
}

// A world that has prepared one program must not take another for it. CollectivePlan::protocol was once left out.
TEST(StepProgram, DigestIsOfEverything) {
  const StepProgram program = program_of(2, true, UpdateTime::PerBucket);
  EXPECT_EQ(program.digest, digest_of(program));
  std::set<std::uint64_t> digests{program.digest};
  const auto changed = [&](auto&& change) {
    StepProgram other = program;
    change(other);
    EXPECT_TRUE(digests.insert(digest_of(other)).second);
  };
  changed([](StepProgram& p) { p.collectives[1].protocol = 1; });
  changed([](StepProgram& p) { p.collectives[1].algorithm = AllreduceAlgorithm::Tree; });
  changed([](StepProgram& p) { p.collectives[1].element_bytes = 2; });
  changed([](StepProgram& p) { p.collectives[1].elements += 1; });
  changed([](StepProgram& p) { p.collectives[1].grid = {2, 2}; });
  changed([](StepProgram& p) { p.collectives[1].grid = {4, 2}; });
  changed([](StepProgram& p) { p.collectives[1].phases[0].op = CollectiveOp::Reduce; });
  changed([](StepProgram& p) { p.collectives[1].phases[0].group = Group::Row; });
  changed([](StepProgram& p) { p.collectives[1].phases[0].algorithm = PhaseAlgorithm::Tree; });
  changed([](StepProgram& p) { p.collectives[1].phases[0].chunk = 7; });
  changed([](StepProgram& p) { p.collectives[1].phases[0].orders = {{0, 2, 1, 3}}; });
  changed([](StepProgram& p) { p.collectives[1].phases[0].orders = {{0, 2, 3, 1}}; });
  changed([](StepProgram& p) { p.collectives[1].phases[0].copies = 2; });
  changed([](StepProgram& p) { p.collectives[1].phases[0].last_orders = {{0, 1}}; });
  changed([](StepProgram& p) { p.collectives[1].phases[0].last_orders = {{1, 0}}; });
  changed([](StepProgram& p) { p.collectives[1].phases.push_back({}); });
  changed([](StepProgram& p) { p.world_size = 8; });
  changed([](StepProgram& p) { p.accumulation = 3; });
  changed([](StepProgram& p) { p.norm_group = 32; });
  changed([](StepProgram& p) { p.buckets.coordination.cycle = Time::milliseconds(5); });
  changed([](StepProgram& p) { p.buckets.coordination.negotiated = !p.buckets.coordination.negotiated; });
  changed([](StepProgram& p) { p.buckets.buckets[0].tensors.pop_back(); });
  changed([](StepProgram& p) { p.buckets.buckets[0].element_bytes = 2; });
  changed([](StepProgram& p) { p.updates[0].tensors.pop_back(); });
  changed([](StepProgram& p) { std::swap(p.updates[0], p.updates[1]); });
  changed([](StepProgram& p) { p.ops[5].layer = LayerId(1); });
  changed([](StepProgram& p) { p.ops[5].micro = 1; });
  changed([](StepProgram& p) { p.ops[5].lane = Lane::Input; });
  changed([](StepProgram& p) { p.ops.back().group = 0; });
  changed([](StepProgram& p) { p.ops.back().needs.pop_back(); });
  const auto other_graph = [&](auto&& change) {
    changed([&](StepProgram& p) {
      ModelGraph graph = *p.graph;
      change(graph);
      p.graph = std::make_shared<const ModelGraph>(std::move(graph));
    });
  };
  other_graph([](ModelGraph& g) { g.name = "other"; });
  other_graph([](ModelGraph& g) { g.layers[3].stride = 4; });
  other_graph([](ModelGraph& g) { g.layers[3].kind = LayerKind::Add; });
  other_graph([](ModelGraph& g) { g.layers[3].gamma_zero = true; });
  other_graph([](ModelGraph& g) { g.tensors[3].dims.push_back(1); });
}

TEST(StepProgram, ImagesOfRanksSum) {
  EXPECT_TRUE(rc::check([] {
    const auto images = *rc::gen::inRange<std::int64_t>(0, 100000);
    const int world = *rc::gen::inRange(1, 300);
    std::int64_t sum = 0;
    for (int r = 0; r < world; ++r) {
      const std::int64_t mine = images_of_rank(images, world, Rank(r));
      RC_ASSERT(mine == images / world || mine == images / world + 1);
      sum += mine;
    }
    RC_ASSERT(sum == images);
  }));
}

TEST(StepProgram, MicroStepsTileTheStep) {
  EXPECT_TRUE(rc::check([] {
    StepProgram p;
    p.world_size = *rc::gen::inRange(1, 20);
    p.accumulation = *rc::gen::inRange(1, 8);
    p.norm_group = *rc::gen::inRange<std::int64_t>(0, 9);
    const std::int64_t full = p.world_size * p.accumulation * std::max<std::int64_t>(1, p.norm_group);
    const auto images = *rc::gen::inRange<std::int64_t>(0, full + 1);
    std::int64_t next = 0;
    for (int r = 0; r < p.world_size; ++r) {
      for (int m = 0; m < p.accumulation; ++m) {
        const Span mine = images_of_micro_step(p, images, Rank(r), m);
        RC_ASSERT(mine.begin == next);
        if (p.norm_group > 0) RC_ASSERT(mine.length == p.norm_group || mine.begin + mine.length == images);
        next += mine.length;
      }
    }
    RC_ASSERT(next == images);
  }));
}

// 100 images in groups of 32: [0, 32) [32, 64) [64, 96) [96, 100), with one rank of 4 micro-steps as with 4 ranks of one.
TEST(StepProgram, NormGroupsDoNotDependOnTheNumberOfRanks) {
  StepProgram one, four;
  one.accumulation = four.world_size = 4;
  one.norm_group = four.norm_group = 32;
  for (int g = 0; g < 4; ++g) {
    EXPECT_EQ(images_of_micro_step(one, 100, Rank(0), g), images_of_micro_step(four, 100, Rank(g), 0));
  }
  EXPECT_EQ(images_of_micro_step(one, 100, Rank(0), 3), (Span{96, 4}));
}

}  // namespace
}  // namespace lockstep
