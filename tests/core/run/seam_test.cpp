// The seam: threads with real vectors, through the same loop, programs and schedules, equal plain single-thread training.
#include <gtest/gtest.h>

#include <cmath>

#include "core/optim/lr_schedule.hpp"
#include "core/optim/optimizer.hpp"
#include "core/plan/planner.hpp"
#include "core/run/training_loop.hpp"
#include "core/spec/words.hpp"
#include "thread_world.hpp"

namespace lockstep::test {
namespace {

using A = AllreduceAlgorithm;

std::shared_ptr<const ModelGraph> network() {
  GraphBuilder g("small", {6, 1, 1});
  LayerId x = g.relu("relu1", g.linear("fc1", g.input(), 11));
  x = g.relu("relu2", g.linear("fc2", x, 7));
  return std::make_shared<const ModelGraph>(std::move(g).finish(g.linear("fc3", x, 4)));
}

RunSpec small_run(int ranks, OptimizerKind kind = OptimizerKind::Sgd) {
  RunSpec run;
  run.cluster.gpus = ranks;
  run.training.epochs = 2;
  run.training.global_batch = 24;
  run.training.precision = Precision::Fp32;
  run.training.log_every = 3;
  run.data.training_images = 230;  // ten steps an epoch, the last one of 14 images
  run.data.validation_images = 10;
  run.optimizer.kind = kind;
  run.optimizer.trust = 0.02;
  run.schedule.base_lr = kind == OptimizerKind::Lars ? 1.0 : 0.1;
  run.schedule.warmup_epochs = 0.5;
  run.schedule.decay = DecayKind::Polynomial;
  run.buckets.policy = BucketPolicy::Size;
  run.buckets.size = Bytes(200);
  run.allreduce.chunk = Bytes(40);
  run.allreduce.across = A::HalvingDoubling;
  return run;
}

NodeSpec node_of(int gpus) {
  NodeSpec node;
  node.gpus = gpus;
  return node;
}

ProgramFactory factory(const RunSpec& run, int node_gpus) {
  return [run, node_gpus](std::int64_t) {
    return plan_step(run, run.training.global_batch, node_of(node_gpus), network(), {},
                     [](const CollectivePlan&) { return Time::zero(); });
  };
}

/// Plain training: no program, no buckets, no ranks. `spread` returns the largest sum over a batch of |gradient| of one element.
std::vector<std::vector<float>> plain(const RunSpec& run, double* spread = nullptr) {
  const auto graph = network();
  auto weights = initial_weights(*graph, run.training.seed);
  std::vector<std::vector<float>> velocity;
  for (const auto& w : weights) velocity.emplace_back(w.size(), 0.0f);
  const auto zero = velocity;
  for (std::int64_t step = 0; step < total_steps(run); ++step) {
    const StepArgs args = step_args(run, step);
    auto g = zero;
    std::vector<std::vector<double>> absolute;
    for (const auto& z : zero) absolute.emplace_back(z.size(), 0.0);
    for (std::int64_t i = 0; i < args.images; ++i) {
      auto one = zero;
      const Sample sample = make_sample(run.training.seed, args.first_sample + i, 6, 4);
      add_gradient(*graph, weights, sample, g);
      if (!spread) continue;
      add_gradient(*graph, weights, sample, one);
      for (std::size_t t = 0; t < one.size(); ++t) {
        for (std::size_t e = 0; e < one[t].size(); ++e) {
          absolute[t][e] += std::abs(one[t][e]);
          *spread = std::max(*spread, absolute[t][e]);
        }
      }
    }
    const StepValues values = step_values(run.optimizer, args.peak_lr, args.lr, args.weight_decay, args.momentum_scale);
    for (std::size_t t = 0; t < g.size(); ++t) {
      for (float& v : g[t]) v /= static_cast<float>(args.images);
      update_tensor<float>(run.optimizer, graph->tensors[t].role, true, values, weights[t], g[t], velocity[t]);
    }
  }
  return weights;
}

double largest_difference(const std::vector<std::vector<float>>& a, const std::vector<std::vector<float>>& b) {
  double largest = 0;
  for (std::size_t t = 0; t < a.size(); ++t) {
    for (std::size_t e = 0; e < a[t].size(); ++e)
      largest = std::max(largest, static_cast<double>(std::abs(a[t][e] - b[t][e])));
  }
  return largest;
}

TEST(Seam, OneRankIsPlainTrainingToTheBit) {
  for (const OptimizerKind kind : {OptimizerKind::Sgd, OptimizerKind::Nesterov, OptimizerKind::Lars}) {
    const RunSpec run = small_run(1, kind);
    ThreadWorld world(run, 1);
    const TrainingResult r = train(run, world, factory(run, 1), {});
    EXPECT_EQ(r.steps, 20);
    EXPECT_EQ(r.images, 460);
    EXPECT_EQ(world.weights(0), plain(run));
  }
}

TEST(Seam, EveryAlgorithmTrainsLikeOneRank) {
  for (const A algorithm :
       {A::Ring, A::HalvingDoubling, A::Tree, A::NodeTree, A::Hierarchical, A::Torus, A::ThreePhase}) {
    for (const int ranks : {2, 3, 4}) {
      for (const OptimizerKind kind : {OptimizerKind::Sgd, OptimizerKind::Lars}) {
        RunSpec run = small_run(ranks, kind);
        run.allreduce.algorithm = algorithm;
        ThreadWorld world(run, ranks);
        train(run, world, factory(run, 2), {});
        double spread = 0;
        const auto expected = plain(run, &spread);
        // Another order of B additions moves an element of the summed gradient by at most B eps sum|g| (Higham, chapter 4). A step moves a
        // weight by lr / ((1 - m) B) of it (LARS: times a trust ratio of at most 1); 20 steps add up, with a factor 10 for the feedback.
        const double lr = kind == OptimizerKind::Lars ? 1.0 : 0.1;
        const double tolerance = 10 * 20 * lr / (1 - 0.9) * spread * std::ldexp(1.0, -24);
        ASSERT_LT(tolerance, 0.05);  // far below what one lost contribution does
        EXPECT_LT(largest_difference(world.weights(0), expected), tolerance)
            << word_of(algorithm) << ", " << ranks << " ranks";
        for (int r = 1; r < ranks; ++r)
          EXPECT_EQ(world.weights(r), world.weights(0)) << word_of(algorithm) << ", rank " << r;
        EXPECT_TRUE(world.post().empty());
      }
    }
  }
}

TEST(Seam, ALostContributionWouldBeSeen) {
  // Control of the tolerance: plain training on half of each batch ends far away.
  RunSpec run = small_run(2), half = run;
  half.training.seed = run.training.seed;
  half.data.training_images = 229;
  EXPECT_GT(largest_difference(plain(run), plain(half)), 1e-3);
}

TEST(Seam, MovesTheBytesThatThePlanCounts) {
  RunSpec run = small_run(4);
  run.allreduce.algorithm = A::Tree;
  ThreadWorld world(run, 4);
  train(run, world, factory(run, 4), {});
  const StepProgram program = factory(run, 4)(24);
  std::int64_t messages = 0, elements = 0;
  for (const auto& c : program.collectives) {
    messages += count(c).messages;
    elements += count(c).elements_sent;
  }
  EXPECT_EQ(world.post().messages(), 20 * messages);
  EXPECT_EQ(world.post().elements(), 20 * elements);
}

TEST(Seam, AccumulationGivesTheSameGradient) {
  RunSpec run = small_run(2);
  run.training.accumulation = 3;
  ThreadWorld world(run, 2);
  train(run, world, factory(run, 2), {});
  RunSpec once = run;
  once.training.accumulation = 1;
  ThreadWorld other(once, 2);
  train(once, other, factory(once, 2), {});
  EXPECT_EQ(world.weights(0), other.weights(0));  // images are added in the same order
}

TEST(Seam, LanesFollowTheProgram) {
  const RunSpec run = small_run(2);
  ThreadWorld world(run, 2);
  train(run, world, factory(run, 2), {});
  const StepProgram program = factory(run, 2)(24);
  std::map<Lane, std::vector<std::string>> expected;
  for (int step = 0; step < 20; ++step) {
    for (const Op& op : program.ops) expected[op.lane].push_back(program.name(op));
  }
  EXPECT_EQ(world.executed(), expected);
}

TEST(Seam, ResumeEqualsAnUninterruptedRun) {
  RunSpec run = small_run(2);
  run.training.checkpoint_every = 1;
  ThreadWorld whole(run, 2);
  train(run, whole, factory(run, 2), {});

  ThreadWorld world(run, 2);
  LoopHooks stop;
  stop.observer = [](std::int64_t, Time now) { return now < Time::milliseconds(13); };
  const TrainingResult first = train(run, world, factory(run, 2), stop);
  EXPECT_TRUE(first.stopped);
  EXPECT_EQ(first.steps, 13);
  LoopHooks resume;
  resume.resume_from = "step-13";
  const TrainingResult second = train(run, world, factory(run, 2), resume);
  EXPECT_EQ(second.steps, 7);
  EXPECT_EQ(world.weights(0), whole.weights(0));
}

}  // namespace
}  // namespace lockstep::test
