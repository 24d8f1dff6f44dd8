// The parts of real/cuda/comm that need no GPU: what is called over NCCL, the watchdog, the roll call, the choice of
// devices.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <limits>
#include <thread>

#include "core/base/error.hpp"
#include "real/cuda/comm/device_choice.hpp"
#include "real/cuda/comm/nccl_calls.hpp"
#include "real/cuda/comm/roll_call.hpp"
#include "real/cuda/comm/watchdog.hpp"
#include "tests/real/comm/ranks.hpp"

namespace lockstep::cuda {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

// ---- calls ----

constexpr float kGone = std::numeric_limits<float>::quiet_NaN();

/// One call of all members as NCCL defines it. Reads `before`, writes `after`; what NCCL leaves undefined becomes NaN.
void make_call(const std::vector<const NcclCall*>& calls, const std::vector<int>& members, const test::Buffers& before,
               test::Buffers& after) {
  const auto size = static_cast<std::int64_t>(members.size());
  const auto value = [&](std::int64_t member, std::int64_t i) {
    return before[static_cast<std::size_t>(members[static_cast<std::size_t>(member)])].at(static_cast<std::size_t>(i));
  };
  const auto sum = [&](std::int64_t offset) {
    float total = 0;
    for (std::int64_t m = 0; m < size; ++m) total += value(m, calls[static_cast<std::size_t>(m)]->send + offset);
    return total;
  };
  for (std::int64_t m = 0; m < size; ++m) {
    const NcclCall& c = *calls[static_cast<std::size_t>(m)];
    const NcclCall& first = *calls[0];
    ASSERT_TRUE(c.op == first.op && c.count == first.count && c.root == first.root) << "members disagree";
    ASSERT_GT(c.count, 0);
    ASSERT_TRUE(0 <= c.root && c.root < size);
    auto& out = after[static_cast<std::size_t>(members[static_cast<std::size_t>(m)])];
    const auto put = [&](std::int64_t i, float v) { out.at(static_cast<std::size_t>(i)) = v; };
    switch (c.op) {
      case CollectiveOp::Allreduce:
        ASSERT_EQ(c.send, c.receive);
        for (std::int64_t i = 0; i < c.count; ++i) put(c.receive + i, sum(i));
        break;
      case CollectiveOp::ReduceScatter:
        ASSERT_EQ(c.receive, c.send + m * c.count) << "in place";
        for (std::int64_t i = 0; i < size * c.count; ++i) put(c.send + i, i / c.count == m ? sum(i) : kGone);
        break;
      case CollectiveOp::AllGather:
        ASSERT_EQ(c.send, c.receive + m * c.count) << "in place";
        for (std::int64_t i = 0; i < size * c.count; ++i) {
          const std::int64_t from = i / c.count;
          put(c.receive + i, value(from, calls[static_cast<std::size_t>(from)]->send + i % c.count));
        }
        break;
      case CollectiveOp::Reduce:
        ASSERT_EQ(c.send, c.receive);
        for (std::int64_t i = 0; i < c.count; ++i) put(c.receive + i, m == c.root ? sum(i) : kGone);
        break;
      case CollectiveOp::Broadcast:
        ASSERT_EQ(c.send, c.receive);
        for (std::int64_t i = 0; i < c.count; ++i)
          put(c.receive + i, value(c.root, calls[static_cast<std::size_t>(c.root)]->send + i));
        break;
    }
  }
}

/// Lets ranks go through their phases; a phase runs once all members of its communicator have come to it.
void interpret(const CollectivePlan& plan, test::Buffers& buffers) {
  const int world = plan.grid.size();
  std::vector<std::vector<NcclPhase>> programs;
  for (int r = 0; r < world; ++r) programs.push_back(nccl_calls(plan, r));
  std::vector<std::size_t> at(programs.size(), 0);
  const auto phase_of = [&](int r) -> const NcclPhase* {
    const auto i = static_cast<std::size_t>(r);
    return at[i] < programs[i].size() ? &programs[i][at[i]] : nullptr;
  };
  for (bool moved = true; moved;) {
    moved = false;
    for (int r = 0; r < world; ++r) {
      const NcclPhase* mine = phase_of(r);
      if (mine == nullptr) continue;
      const std::vector<int> members = members_of(mine->group, world, r);
      ASSERT_THAT(members, testing::Contains(r));
      std::vector<const NcclPhase*> phases;
      for (const int m : members) {
        const NcclPhase* p = phase_of(m);
        if (p != nullptr && p->group == mine->group) phases.push_back(p);
      }
      if (phases.size() < members.size()) continue;
      // The calls of a group run at the same time: each reads what was there before all of them.
      const test::Buffers before = buffers;
      for (std::size_t c = 0; c < mine->calls.size(); ++c) {
        std::vector<const NcclCall*> calls;
        for (const NcclPhase* p : phases) {
          ASSERT_EQ(p->calls.size(), mine->calls.size());
          calls.push_back(&p->calls[c]);
        }
        ASSERT_NO_FATAL_FAILURE(make_call(calls, members, before, buffers));
      }
      for (const int m : members) ++at[static_cast<std::size_t>(m)];
      moved = true;
    }
  }
  for (int r = 0; r < world; ++r) ASSERT_EQ(phase_of(r), nullptr) << "rank " << r << " hangs";
}

/// Values are small whole numbers, at most 16 * 17 + 100 each: fp32 sums of 16 are exact in any order.
TEST(NcclCallsSlow, EveryRankEndsWithTheSum) {
  for (int ranks = 1; ranks <= 16; ++ranks) {
    for (const int node : {1, 2, 3, 4, 6, 8, 16}) {
      for (const std::int64_t elements : {0, 1, 5, 1000, 4099}) {
        test::Buffers in;
        for (int r = 0; r < ranks; ++r) {
          in.emplace_back();
          for (std::int64_t i = 0; i < elements; ++i)
            in.back().push_back(static_cast<float>((r + 1) * (i % 17) + i % 101));
        }
        std::vector<float> expected(static_cast<std::size_t>(elements), 0.0f);
        for (const auto& b : in) {
          for (std::size_t i = 0; i < b.size(); ++i) expected[i] += b[i];
        }
        for (const AllreduceAlgorithm algorithm : test::kAllAlgorithms) {
          const auto plan = test::plan_of(algorithm, ranks, node, elements);
          SCOPED_TRACE(testing::Message() << ranks << " ranks, nodes of " << node << ", " << elements
                                          << " elements, algorithm " << static_cast<int>(algorithm));
          test::Buffers out = in;
          ASSERT_NO_FATAL_FAILURE(interpret(plan, out));
          for (const auto& b : out) ASSERT_EQ(b, expected);
        }
      }
    }
  }
}

TEST(NcclCalls, FlatAlgorithmsAreOneAllreduceOfAllRanks) {
  for (const auto algorithm :
       {AllreduceAlgorithm::Ring, AllreduceAlgorithm::HalvingDoubling, AllreduceAlgorithm::Tree}) {
    const auto plan = test::plan_of(algorithm, 6, 2, 1000);
    const auto phases = nccl_calls(plan, 3);
    ASSERT_EQ(phases.size(), 1u);
    EXPECT_EQ(phases[0].group, (NcclGroup{Group::World, 0}));
    EXPECT_THAT(phases[0].calls, ElementsAre(NcclCall{CollectiveOp::Allreduce, 0, 0, 1000, 0}));
  }
}

// 1000 elements in rows of 4: 250 each, down to 3 times 64 = 192; the last member owns 192 + (1000 - 4 * 192) = 424
// from 576 on.
TEST(NcclCalls, HierarchicalScattersEqualPartsAndReducesTheRest) {
  const auto plan = test::plan_of(AllreduceAlgorithm::Hierarchical, 8, 4, 1000);
  const auto inner = nccl_calls(plan, 5), last = nccl_calls(plan, 7);
  ASSERT_EQ(inner.size(), 3u);
  EXPECT_EQ(inner[0].group, (NcclGroup{Group::Row, 4}));
  EXPECT_THAT(inner[0].calls, ElementsAre(NcclCall{CollectiveOp::ReduceScatter, 0, 192, 192, 0},
                                          NcclCall{CollectiveOp::Reduce, 768, 768, 232, 3}));
  EXPECT_EQ(inner[1].group, (NcclGroup{Group::Column, 4}));
  EXPECT_THAT(inner[1].calls, ElementsAre(NcclCall{CollectiveOp::Allreduce, 192, 192, 192, 0}));
  EXPECT_THAT(last[1].calls, ElementsAre(NcclCall{CollectiveOp::Allreduce, 576, 576, 424, 0}));
  EXPECT_THAT(inner[2].calls, ElementsAre(NcclCall{CollectiveOp::AllGather, 192, 0, 192, 0},
                                          NcclCall{CollectiveOp::Broadcast, 768, 768, 232, 3}));
}

TEST(NcclCalls, ThreePhaseLeavesTheLeadersToThemselves) {
  const auto plan = test::plan_of(AllreduceAlgorithm::ThreePhase, 8, 4, 10);
  const auto leader = nccl_calls(plan, 4), other = nccl_calls(plan, 5);
  ASSERT_EQ(leader.size(), 3u);
  ASSERT_EQ(other.size(), 2u);
  EXPECT_EQ(leader[1].group, (NcclGroup{Group::Leaders, 4}));
  EXPECT_THAT(members_of(leader[1].group, 8, 4), ElementsAre(0, 4));
  EXPECT_THAT(members_of(leader[1].group, 8, 5), ElementsAre());
  EXPECT_THAT(other[0].calls, ElementsAre(NcclCall{CollectiveOp::Reduce, 0, 0, 10, 0}));
}

TEST(NcclCalls, PartsTileTheBuffer) {
  for (const std::int64_t elements : {0, 1, 63, 64, 255, 256, 257, 1000, 4099}) {
    for (const int x : {1, 2, 3, 4, 7, 8}) {
      std::int64_t next = 0;
      for (int m = 0; m < x; ++m) {
        const Span s = owned_part(elements, m, x);
        EXPECT_EQ(s.begin, next);
        EXPECT_EQ(s.begin % kPartAlignment, 0);
        next += s.length;
      }
      EXPECT_EQ(next, elements);
    }
  }
}

TEST(NcclCalls, CommunicatorsAreMadeOncePerGroup) {
  const std::vector<CollectivePlan> plans = {test::plan_of(AllreduceAlgorithm::Hierarchical, 8, 4, 10),
                                             test::plan_of(AllreduceAlgorithm::Hierarchical, 8, 4, 20),
                                             test::plan_of(AllreduceAlgorithm::Ring, 8, 4, 20),
                                             test::plan_of(AllreduceAlgorithm::ThreePhase, 8, 2, 20)};
  EXPECT_THAT(nccl_groups(plans),
              ElementsAre(NcclGroup{Group::Row, 4}, NcclGroup{Group::Column, 4}, NcclGroup{Group::World, 0},
                          NcclGroup{Group::Row, 2}, NcclGroup{Group::Leaders, 2}));
  EXPECT_THAT(members_of({Group::Row, 4}, 8, 6), ElementsAre(4, 5, 6, 7));
  EXPECT_THAT(members_of({Group::Column, 4}, 12, 6), ElementsAre(2, 6, 10));
  EXPECT_TRUE(nccl_groups({}).empty());
}

// ---- watchdog ----

struct Watched {
  std::atomic<Watchdog::State> state{Watchdog::State::Waiting};
  std::atomic<int> stops{0};
  std::atomic<bool> entered{false}, broken{false};
  Watchdog dog;

  explicit Watched(Time timeout)
      : dog({timeout, [this] { entered = true; }, [this] { return std::string(broken ? "remote process exited" : ""); },
             [this] { ++stops; }}) {}
  Watchdog::Work work(const std::string& what, int place) {
    return {what, place, [this] { return state.load(); }};
  }
  std::optional<Watchdog::Failure> failure_within(std::chrono::milliseconds most) const {
    const auto begin = std::chrono::steady_clock::now();
    while (std::chrono::steady_clock::now() - begin < most) {
      if (dog.failure() && stops > 0) break;
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    return dog.failure();
  }
};

constexpr std::chrono::milliseconds kLong{20000}, kShort{150};  // until it must have happened; in which it must not

TEST(Watchdog, WhatDoesNotEndIsStoppedOnce) {
  Watched w(Time::milliseconds(50));
  const auto begin = std::chrono::steady_clock::now();
  w.state = Watchdog::State::Running;
  w.dog.watch(w.work("the allreduce of bucket 2", 2));
  w.dog.watch(w.work("the allreduce of bucket 3", 3));
  const auto failure = w.failure_within(kLong);
  ASSERT_TRUE(failure);
  EXPECT_EQ(failure->text, "the allreduce of bucket 2 did not end within 50.0 ms");
  EXPECT_TRUE(failure->late);
  EXPECT_EQ(failure->place, 2);
  EXPECT_GE(std::chrono::steady_clock::now() - begin, std::chrono::milliseconds(50));
  std::this_thread::sleep_for(kShort);
  EXPECT_EQ(w.stops, 1);
  EXPECT_TRUE(w.entered);
}

TEST(Watchdog, WhatHasNotBegunIsNotLate) {
  Watched w(Time::milliseconds(20));
  w.dog.watch(w.work("a bucket", 0));
  EXPECT_FALSE(w.failure_within(kShort));
  w.state = Watchdog::State::Running;
  EXPECT_TRUE(w.failure_within(kLong));
}

TEST(Watchdog, WhatEndsIsForgotten) {
  Watched w(Time::milliseconds(20));
  w.state = Watchdog::State::Done;
  for (int i = 0; i < 100; ++i) w.dog.watch(w.work("a bucket", i));
  EXPECT_FALSE(w.failure_within(kShort));
  EXPECT_EQ(w.stops, 0);
}

TEST(Watchdog, ErrorsOfTheLibraryAndOfTheDeviceAreNoted) {
  {
    Watched w(Time::seconds(60));
    w.dog.watch(w.work("bucket 4", 4));
    w.broken = true;
    const auto failure = w.failure_within(kLong);
    ASSERT_TRUE(failure);
    EXPECT_EQ(failure->text, "bucket 4: remote process exited");
    EXPECT_FALSE(failure->late);
  }
  {
    Watched w(Time::seconds(60));
    w.dog.watch({"bucket 5", 5, []() -> Watchdog::State { throw BackendError("cudaEventQuery: bad address"); }});
    const auto failure = w.failure_within(kLong);
    ASSERT_TRUE(failure);
    EXPECT_EQ(failure->text, "bucket 5: cudaEventQuery: bad address");
  }
  {
    Watched w(Time::seconds(60));
    w.dog.report({"found by the caller", 1, false});
    w.dog.report({"a later one", 1, false});
    const auto failure = w.failure_within(kLong);
    ASSERT_TRUE(failure);
    EXPECT_EQ(failure->text, "found by the caller");
    EXPECT_EQ(w.stops, 1);
  }
}

// ---- roll call ----

TEST(RollCallSlow, RanksThatAnswerAndThoseThatDoNot) {
  const auto transports = thread_transports(4);
  std::vector<std::vector<int>> places(4);
  std::vector<std::thread> threads;
  for (const int r : {0, 1, 3}) {
    threads.emplace_back([&, r] {
      const auto i = static_cast<std::size_t>(r);
      // Rank 0 is alone for as long as it takes the others to come.
      if (r != 0) std::this_thread::sleep_for(std::chrono::milliseconds(30));
      places[i] = roll_call(*transports[i], r == 3 ? 7 : 2, Time::milliseconds(1000));
    });
  }
  for (auto& t : threads) t.join();
  for (const std::size_t r : {0u, 1u, 3u}) EXPECT_THAT(places[r], ElementsAre(2, 2, -1, 7)) << "rank " << r;
}

TEST(RollCall, IsThroughAtOnceWhenAllAnswer) {
  const auto begin = std::chrono::steady_clock::now();
  test::on_ranks(3, [](Transport& t) { EXPECT_THAT(roll_call(t, 1, Time::seconds(60)), ElementsAre(1, 1, 1)); });
  EXPECT_THAT(roll_call(*solo_transport(), 5, Time::seconds(60)), ElementsAre(5));
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(30));
}

// ---- devices ----

const std::vector<VisibleDevices> kTwoNodes = {
    {"a", {"g0", "g1"}}, {"a", {"g0", "g1"}}, {"b", {"g2", "g3"}}, {"b", {"g2", "g3"}}};

TEST(DeviceChoice, LocalRankTakesItsDevice) {
  for (int r = 0; r < 4; ++r) {
    const auto choice = choose_device(kTwoNodes, r, Reduction::Planned);
    EXPECT_EQ(choice.device, r % 2);
    EXPECT_EQ(choice.lane, LaneKind::Nccl);
    EXPECT_EQ(choice.sharing, 1);
    EXPECT_EQ(choice.warning, "");
  }
}

// Ranks on threads have a host each, and share the GPUs all the same.
TEST(DeviceChoice, RanksOnThreadsShareAMachine) {
  const std::vector<VisibleDevices> two = {{"thread 0", {"g0", "g1"}}, {"thread 1", {"g0", "g1"}}};
  EXPECT_EQ(choose_device(two, 1, Reduction::Planned).device, 1);
  EXPECT_EQ(choose_device(two, 1, Reduction::Planned).lane, LaneKind::Nccl);
  const std::vector<VisibleDevices> one = {{"thread 0", {"g0"}}, {"thread 1", {"g0"}}};
  EXPECT_EQ(choose_device(one, 1, Reduction::Planned).lane, LaneKind::HostStaged);
}

// A launcher that gives each rank one GPU: every rank sees its own as number 0.
TEST(DeviceChoice, LaunchersMayHandOutDevices) {
  const std::vector<VisibleDevices> ranks = {{"a", {"g0"}}, {"a", {"g1"}}, {"a", {"g2"}}};
  const auto choice = choose_device(ranks, 2, Reduction::Planned);
  EXPECT_EQ(choice.device, 0);
  EXPECT_EQ(choice.lane, LaneKind::Nccl);
}

TEST(DeviceChoice, MoreRanksThanDevicesGoThroughTheHost) {
  auto ranks = kTwoNodes;
  ranks.push_back({"b", {"g2", "g3"}});
  for (int r = 0; r < 5; ++r) {
    const auto choice = choose_device(ranks, r, Reduction::Planned);
    EXPECT_EQ(choice.lane, LaneKind::HostStaged) << "all ranks, those of node a as well";
    EXPECT_THAT(choice.warning, AllOf(HasSubstr("GPU 0 of host b"), HasSubstr("NCCL")));
    EXPECT_EQ(choice.sharing, r == 2 || r == 4 ? 2 : 1);
  }
  EXPECT_EQ(choose_device(ranks, 4, Reduction::Planned).device, 0);
  EXPECT_THROW(choose_device(ranks, 0, Reduction::Planned, LaneKind::Nccl), ConfigError);
  EXPECT_EQ(choose_device(ranks, 0, Reduction::Planned, LaneKind::HostStaged).warning, "");
}

TEST(DeviceChoice, OrderedSumsAreNotForNccl) {
  EXPECT_EQ(choose_device(kTwoNodes, 0, Reduction::Ordered).lane, LaneKind::HostStaged);
  EXPECT_EQ(choose_device(kTwoNodes, 0, Reduction::Ordered).warning, "");
  EXPECT_THROW(choose_device(kTwoNodes, 0, Reduction::Mpi, LaneKind::Nccl), ConfigError);
  EXPECT_EQ(choose_device(kTwoNodes, 0, Reduction::Planned, LaneKind::HostStaged).lane, LaneKind::HostStaged);
}

TEST(DeviceChoice, RanksWithoutADeviceAreNamed) {
  auto ranks = kTwoNodes;
  ranks[1].devices.clear();
  ranks[3].devices.clear();
  try {
    choose_device(ranks, 0, Reduction::Planned);
    FAIL();
  } catch (const BackendError& e) {
    EXPECT_STREQ(e.what(), "no GPU is visible to rank 1 (host a), rank 3 (host b)");
  }
}

TEST(DeviceChoice, AllRanksLearnWhatAllSee) {
  test::on_ranks(3, [](Transport& t) {
    std::vector<std::string> mine;
    for (int d = 0; d < t.rank(); ++d) mine.push_back("g" + std::to_string(d));
    const auto all = exchange_devices(t, mine);
    ASSERT_EQ(all.size(), 3u);
    EXPECT_THAT(all[0].devices, ElementsAre());
    EXPECT_THAT(all[2].devices, ElementsAre("g0", "g1"));
    EXPECT_EQ(all[1].host, "thread 1");
  });
}

TEST(DeviceFacts, Text) {
  DeviceFacts f{"NVIDIA H200", std::size_t{139} << 30, "580.95.05", 13000, 13000, 91002, 22809};
  EXPECT_EQ(to_text(f), "NVIDIA H200, 139 GiB, driver 580.95.05, CUDA 13.0, cuDNN 9.10.2, NCCL 2.28.9");
  f = {"Tesla V100-SXM2-16GB", (std::size_t{16} << 30) - 1, "", 12090, 12040, 8907, 0};
  EXPECT_EQ(to_text(f), "Tesla V100-SXM2-16GB, 15 GiB, driver for CUDA 12.9, CUDA 12.4, cuDNN 8.9.7");
}

TEST(DeviceFacts, DriverNumber) {
  EXPECT_EQ(
      driver_number(
          "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.95.05  Release Build\nGCC version:  12.2.0"),
      "580.95.05");
  EXPECT_EQ(driver_number("NVRM version: NVIDIA UNIX x86_64 Kernel Module  470.256.02  Thu May\n"), "470.256.02");
  EXPECT_EQ(driver_number("GCC version: 12.2.0"), "");
  EXPECT_EQ(driver_number(""), "");
}

}  // namespace
}  // namespace lockstep::cuda
