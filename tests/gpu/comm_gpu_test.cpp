// Gradient lanes on a GPU: sums, order against the compute stream, CUDA graphs, and ranks that do not come.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <functional>
#include <thread>

#include "core/base/error.hpp"
#include "real/cuda/base/memory.hpp"
#include "real/cuda/comm/device_facts.hpp"
#include "real/cuda/comm/host_staged_lane.hpp"
#include "real/cuda/comm/nccl_lane.hpp"
#include "tests/real/comm/ranks.hpp"

namespace lockstep::cuda {
namespace {

using test::Buffers;
using testing::HasSubstr;

class CommGpu : public testing::Test {
 protected:
  void SetUp() override {
    std::string reason;
    devices = static_cast<int>(visible_devices(&reason).size());
    if (devices == 0) GTEST_SKIP() << "no GPU: " << reason;
    check(cudaSetDevice(0), "cudaSetDevice");
  }
  int devices = 0;
};
using CommGpuSlow = CommGpu;

/// A bucket in a job of one that does go through NCCL.
CollectivePlan one_rank_plan(std::int64_t elements) {
  CollectivePlan plan;
  plan.elements = elements;
  plan.phases.push_back(Phase{});
  return plan;
}

/// A rank with some buckets. Gradients exist only once the compute stream has slept a while and then brought them;
/// until then, and wherever else sums will lie, there are NaN.
class RankWork {
 public:
  RankWork(std::vector<std::vector<float>> values, std::vector<WireType> wires)
      : values_(std::move(values)), wires_(std::move(wires)) {
    for (std::size_t b = 0; b < values_.size(); ++b) {
      const std::size_t bytes = values_[b].size() * wire_bytes(wires_[b]);
      sources_.emplace_back(bytes);
      gradients_.emplace_back(bytes);
      sums_.emplace_back(bytes);
      results_.emplace_back(bytes);
      ready_.emplace_back();
      to_wire(wires_[b], values_[b], sources_[b].data());
    }
  }

  std::vector<LaneBucket> buckets(const std::vector<CollectivePlan>& plans) {
    std::vector<LaneBucket> out;
    for (std::size_t b = 0; b < plans.size(); ++b) {
      LaneBucket bucket;
      bucket.plan = plans[b];
      bucket.wire = wires_[b];
      if (wires_[b] == WireType::Fp32 && b % 2 == 0) {
        bucket.memory = gradients_[b].data();  // summed where they lie
        in_place_.push_back(true);
      } else {
        bucket.pack = [this, b](void* memory, cudaStream_t s) {
          copy(gradients_[b].data(), memory, gradients_[b].size(), s);
        };
        bucket.unpack = [this, b](const void* memory, cudaStream_t s) {
          sleep(s);  // so that the sums come after what does not wait for them
          copy(memory, sums_[b].data(), sums_[b].size(), s);
        };
        in_place_.push_back(false);
      }
      out.push_back(std::move(bucket));
    }
    return out;
  }

  /// What a step queues. `late`: how long the compute stream sleeps before each gradient, and the lane's before it
  /// unpacks.
  void step(GradientLane& lane, std::chrono::milliseconds late) {
    pause_ = late;
    for (std::size_t b = 0; b < values_.size(); ++b) {
      poison(gradients_[b]);
      poison(sums_[b]);
    }
    lane.begin_step(compute_);
    for (std::size_t b = 0; b < values_.size(); ++b) {
      sleep(compute_);
      bring(sources_[b].data(), gradients_[b].data(), sources_[b].size(), cudaMemcpyHostToDevice, compute_);
      ready_[b].record(compute_);
      lane.start(BucketId(static_cast<std::int64_t>(b)), ready_[b]);
    }
    for (std::size_t b = 0; b < values_.size(); ++b) {
      lane.wait(BucketId(static_cast<std::int64_t>(b)), compute_);
      const void* sum = in_place_[b] ? gradients_[b].data() : sums_[b].data();
      bring(sum, results_[b].data(), results_[b].size(), cudaMemcpyDeviceToHost, compute_);
    }
    end_.record(compute_);
  }

  void finish(GradientLane& lane) { lane.synchronise(end_); }
  void forget_results() {
    for (auto& r : results_) std::fill(r.span().begin(), r.span().end(), std::byte{0xff});
  }
  std::vector<float> result(std::size_t b) const {
    std::vector<float> out(values_[b].size());
    from_wire(wires_[b], results_[b].data(), out);
    return out;
  }
  cudaStream_t compute() const { return compute_; }
  Event& end() { return end_; }

 private:
  void sleep(cudaStream_t stream) {
    const auto body = [](void* pause) { std::this_thread::sleep_for(*static_cast<std::chrono::milliseconds*>(pause)); };
    check(cudaLaunchHostFunc(stream, body, &pause_), "cudaLaunchHostFunc");
  }
  static void bring(const void* from, void* to, std::size_t bytes, cudaMemcpyKind kind, cudaStream_t stream) {
    if (bytes > 0) check(cudaMemcpyAsync(to, from, bytes, kind, stream), "cudaMemcpyAsync");
  }
  static void copy(const void* from, void* to, std::size_t bytes, cudaStream_t stream) {
    bring(from, to, bytes, cudaMemcpyDeviceToDevice, stream);
  }
  void poison(const DeviceArray<std::byte>& a) {
    if (a.size() == 0) return;
    check(cudaMemsetAsync(a.data(), 0xff, a.size(), compute_), "cudaMemsetAsync");  // NaN in every wire type
  }

  std::vector<std::vector<float>> values_;
  std::vector<WireType> wires_;
  std::vector<bool> in_place_;
  std::vector<PinnedArray<std::byte>> sources_, results_;
  std::vector<DeviceArray<std::byte>> gradients_, sums_;
  std::vector<Event> ready_;
  Event end_;
  Stream compute_;
  std::chrono::milliseconds pause_{0};
};

constexpr std::int64_t kSizes[] = {1, 4099, 70001, 300, 0, 128};
const std::vector<WireType> kWires = {WireType::Fp32, WireType::Fp16, WireType::Fp32,
                                      WireType::Fp32, WireType::Fp16, WireType::Bf16};

void expect_ordered(const GradientLane::Times& t) {
  EXPECT_LE(Time::zero(), t.begin);
  EXPECT_LE(t.begin, t.end);
}

/// Steps of all ranks with every kind of bucket over lanes that `make(transport, buckets)` gives; `device(rank)`.
template <class Make, class Device>
void expect_sums(int ranks, AllreduceAlgorithm algorithm, Make make, Device device) {
  std::vector<Buffers> in;
  std::vector<CollectivePlan> plans;
  for (std::size_t b = 0; b < kWires.size(); ++b) {
    in.push_back(test::random_buffers(ranks, kSizes[b]));
    plans.push_back(ranks == 1 ? one_rank_plan(kSizes[b]) : test::plan_of(algorithm, ranks, 2, kSizes[b], kWires[b]));
  }
  std::vector<std::vector<std::vector<float>>> out(static_cast<std::size_t>(ranks));
  test::on_ranks(ranks, [&](Transport& t) {
    check(cudaSetDevice(device(t.rank())), "cudaSetDevice");
    const auto me = static_cast<std::size_t>(t.rank());
    std::vector<std::vector<float>> mine;
    for (const Buffers& b : in) mine.push_back(b[me]);
    RankWork work(mine, kWires);
    const std::unique_ptr<GradientLane> lane = make(t, work.buckets(plans));
    for (int step = 0; step < 3; ++step) {
      work.forget_results();
      work.step(*lane, std::chrono::milliseconds(step == 0 ? 0 : t.rank() == 0 ? 10 : 2));
      work.finish(*lane);
      for (std::size_t b = 0; b < kWires.size(); ++b)
        expect_ordered(lane->times(BucketId(static_cast<std::int64_t>(b))));
    }
    for (std::size_t b = 0; b < kWires.size(); ++b) out[me].push_back(work.result(b));
  });
  for (std::size_t b = 0; b < kWires.size(); ++b) {
    for (std::size_t r = 0; r < out.size(); ++r) {
      ASSERT_EQ(out[r].size(), kWires.size());
      EXPECT_LE(test::error_of(out[r][b], in[b], kWires[b]), 1) << "rank " << r << ", bucket " << b;
      EXPECT_EQ(out[r][b], out[0][b]) << "rank " << r << ", bucket " << b;
    }
  }
}

std::string error_of(const std::function<void()>& body) {
  try {
    body();
  } catch (const BackendError& e) {
    return e.what();
  }
  return "no BackendError";
}

double seconds_of(const std::function<void()>& body) {
  const auto begin = std::chrono::steady_clock::now();
  body();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

const auto kFirstDevice = [](int) { return 0; };
const auto kHostStaged = [](Transport& t, std::vector<LaneBucket> buckets) {
  LaneSettings settings;
  settings.in_flight = 2;
  return std::make_unique<HostStagedLane>(t, std::move(buckets), settings);
};
const auto kNccl = [](Transport& t, std::vector<LaneBucket> buckets) {
  return std::make_unique<NcclLane>(t, std::move(buckets), LaneSettings{});
};

TEST(LaneBuckets, FollowTheProgram) {
  StepProgram program;
  for (const int bytes : {2, 4}) {
    Bucket bucket;
    bucket.elements = 100 * bytes;
    bucket.element_bytes = bytes;
    program.buckets.buckets.push_back(bucket);
    program.collectives.push_back(one_rank_plan(bucket.elements));
  }
  const auto buckets = lane_buckets(program, Precision::Bf16);
  ASSERT_EQ(buckets.size(), 2u);
  EXPECT_EQ(buckets[0].wire, WireType::Bf16);
  EXPECT_EQ(buckets[0].plan.elements, 200);
  EXPECT_EQ(buckets[1].wire, WireType::Fp32);
  EXPECT_EQ(buckets[1].plan.elements, 400);
}

// ---- host-staged ----

TEST_F(CommGpuSlow, HostStagedSumsOfTwoAndFourRanksOnOneDevice) {
  for (const int ranks : {1, 2, 4}) {
    for (const auto algorithm : test::kAllAlgorithms) {
      SCOPED_TRACE(testing::Message() << ranks << " ranks, algorithm " << static_cast<int>(algorithm));
      expect_sums(ranks, algorithm, kHostStaged, kFirstDevice);
    }
  }
}

TEST_F(CommGpu, HostStagedThroughTheLibrary) {
  expect_sums(
      2, AllreduceAlgorithm::Ring,
      [](Transport& t, std::vector<LaneBucket> buckets) {
        LaneSettings settings;
        settings.reduction = Reduction::Mpi;
        return std::make_unique<HostStagedLane>(t, std::move(buckets), settings);
      },
      kFirstDevice);
}

// Groups of one rank with 4, and of two ranks with 2 each, of which the second fills only one in the second step: equal
// bits.
TEST_F(CommGpu, HostStagedOrderedSumsDoNotDependOnTheNumberOfRanks) {
  const std::int64_t n = 5000;
  const Buffers groups = test::random_buffers(4, n);
  const auto sums = [&](int ranks, int missing) {
    Buffers out(static_cast<std::size_t>(ranks));
    test::on_ranks(ranks, [&](Transport& t) {
      check(cudaSetDevice(0), "cudaSetDevice");
      const int each = 4 / ranks;
      DeviceArray<float> memory(static_cast<std::size_t>(each * n));
      Stream compute;
      for (int g = 0; g < each; ++g)
        copy_to_device<float>(groups[static_cast<std::size_t>(t.rank() * each + g)], memory.data() + g * n, compute);
      LaneBucket bucket;
      bucket.plan = test::plan_of(AllreduceAlgorithm::Ring, ranks, 2, n);
      bucket.memory = memory.data();
      bucket.groups = each;
      LaneSettings settings;
      settings.reduction = Reduction::Ordered;
      HostStagedLane lane(t, {bucket}, settings);
      lane.begin_step(compute);
      Event ready;
      ready.record(compute);
      lane.start(BucketId(0), ready, t.rank() == ranks - 1 ? each - missing : each);
      lane.wait(BucketId(0), compute);
      auto& mine = out[static_cast<std::size_t>(t.rank())];
      mine.resize(static_cast<std::size_t>(n));
      copy_to_host<float>(memory.data(), mine, compute);
      compute.synchronise();
    });
    for (const auto& o : out) EXPECT_EQ(o, out[0]);
    return out[0];
  };
  for (const int missing : {0, 1}) {
    std::vector<float> expected = groups[0];
    for (std::size_t g = 1; g < 4 - static_cast<std::size_t>(missing); ++g) {
      for (std::size_t i = 0; i < expected.size(); ++i) expected[i] += groups[g][i];
    }
    EXPECT_EQ(sums(1, missing), expected);
    EXPECT_EQ(sums(2, missing), expected);
  }
}

TEST_F(CommGpu, HostStagedNamesARankThatDoesNotCome) {
  const auto transports = thread_transports(2);
  const auto plan = test::plan_of(AllreduceAlgorithm::Ring, 2, 2, 1000);
  RankWork work(test::random_buffers(1, 1000), {WireType::Fp32});
  LaneSettings settings;
  settings.timeout = Time::milliseconds(100);
  HostStagedLane lane(*transports[0], work.buckets({plan}), settings);
  const std::string expected =
      "rank 0 (host thread 0): no message from rank 1 (host thread 1) for 100 ms, in the allreduce of bucket 0";
  EXPECT_THAT(error_of([&] { work.step(lane, std::chrono::milliseconds(0)); }), HasSubstr(expected));
  EXPECT_THAT(error_of([&] { lane.check(); }), HasSubstr(expected));
  EXPECT_THAT(error_of([&] { lane.begin_step(work.compute()); }), HasSubstr(expected));
}

// ---- NCCL, one rank ----

TEST_F(CommGpu, NcclOfOneRank) { expect_sums(1, AllreduceAlgorithm::Ring, kNccl, kFirstDevice); }

TEST_F(CommGpu, NcclInACudaGraph) {
  const auto solo = solo_transport();
  const std::vector<std::int64_t> sizes = {1000, 70001, 33};
  const std::vector<WireType> wires = {WireType::Fp32, WireType::Fp16, WireType::Bf16};
  std::vector<std::vector<float>> values;
  std::vector<CollectivePlan> plans;
  for (const std::int64_t n : sizes) {
    values.push_back(test::random_buffer(0, n));
    plans.push_back(one_rank_plan(n));
  }
  RankWork work(values, wires);
  NcclLane lane(*solo, work.buckets(plans), {});
  ASSERT_TRUE(lane.capturable());
  work.step(lane, std::chrono::milliseconds(0));
  work.finish(lane);

  cudaGraph_t graph = nullptr;
  cudaGraphExec_t runnable = nullptr;
  check(cudaStreamBeginCapture(work.compute(), cudaStreamCaptureModeThreadLocal), "cudaStreamBeginCapture");
  work.step(lane, std::chrono::milliseconds(5));
  check(cudaStreamEndCapture(work.compute(), &graph), "cudaStreamEndCapture");
  check(cudaGraphInstantiateWithFlags(&runnable, graph, 0), "cudaGraphInstantiate");
  for (int replay = 0; replay < 3; ++replay) {
    work.forget_results();
    check(cudaGraphLaunch(runnable, work.compute()), "cudaGraphLaunch");
    lane.launched(work.compute());
    Event end;
    end.record(work.compute());
    lane.synchronise(end);
    for (std::size_t b = 0; b < sizes.size(); ++b) {
      EXPECT_LE(test::error_of(work.result(b), {values[b]}, wires[b]), 1) << "replay " << replay;
      const auto times = lane.times(BucketId(static_cast<std::int64_t>(b)));
      expect_ordered(times);
      EXPECT_LT(times.begin, Time::seconds(10)) << "counts from the beginning of this replay";
    }
  }
  check(cudaGraphExecDestroy(runnable), "cudaGraphExecDestroy");
  check(cudaGraphDestroy(graph), "cudaGraphDestroy");
}

TEST_F(CommGpu, NcclInitialisationGivesUp) {
  ncclUniqueId id;
  check_nccl(ncclGetUniqueId(&id), "ncclGetUniqueId");
  std::string text;
  const double took =
      seconds_of([&] { text = error_of([&] { NcclCommunicator(id, 2, 0, Time::milliseconds(500)); }); });
  EXPECT_THAT(text, HasSubstr("not all members came within 500 ms"));
  EXPECT_GE(took, 0.5);
  EXPECT_LT(took, 30) << "the abort may take some seconds, never for ever";
}

TEST_F(CommGpu, Description) {
  const std::string text = to_text(device_facts(0, 0));
  EXPECT_THAT(text,
              testing::ContainsRegex("^.+, [0-9]+ GiB, driver .+, CUDA [0-9]+\\.[0-9]+, NCCL 2\\.[0-9]+\\.[0-9]+$"));
}

// ---- NCCL, several GPUs ----

TEST_F(CommGpuSlow, NcclSumsOverSeveralDevices) {
  if (devices < 2) GTEST_SKIP() << "one GPU";
  for (int ranks = 2; ranks <= std::min(devices, 8); ranks *= 2) {
    for (const auto algorithm : test::kAllAlgorithms) {
      SCOPED_TRACE(testing::Message() << ranks << " ranks, algorithm " << static_cast<int>(algorithm));
      expect_sums(ranks, algorithm, kNccl, [](int rank) { return rank; });
    }
  }
}

TEST_F(CommGpuSlow, NcclNamesARankThatDoesNotCome) {
  if (devices < 2) GTEST_SKIP() << "one GPU";
  test::on_ranks(2, [&](Transport& t) {
    check(cudaSetDevice(t.rank()), "cudaSetDevice");
    RankWork work(test::random_buffers(1, 1000), {WireType::Fp32});
    LaneSettings settings;
    settings.timeout = Time::seconds(3);
    settings.patience = Time::milliseconds(200);
    NcclLane lane(t, work.buckets({test::plan_of(AllreduceAlgorithm::Ring, 2, 2, 1000)}), settings);
    work.step(lane, std::chrono::milliseconds(0));
    work.finish(lane);
    if (t.rank() == 0) {
      EXPECT_THAT(
          error_of([&] {
            work.step(lane, std::chrono::milliseconds(0));
            work.finish(lane);
          }),
          testing::AllOf(
              HasSubstr("rank 0 (host thread 0): the allreduce of bucket 0 over NCCL did not end within 3.00 s"),
              HasSubstr("no answer from rank 1 (host thread 1)")));
    } else {
      std::this_thread::sleep_for(std::chrono::seconds(6));
    }
  });
}

}  // namespace
}  // namespace lockstep::cuda
