// The communication lane: order, several at once, times, and what it says when something is wrong.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/base/error.hpp"
#include "real/comm/communication_lane.hpp"
#include "tests/real/comm/ranks.hpp"

namespace lockstep {
namespace {

using test::Buffers;
using testing::HasSubstr;

TEST(CommunicationLane, SeveralCollectivesAtOnce) {
  for (const int in_flight : {1, 3}) {
    const int ranks = 4, buckets = 9;
    const Buffers in = test::random_buffers(ranks, 3000);
    const auto plan = test::plan_of(AllreduceAlgorithm::Ring, ranks, 4, 3000);
    std::vector<Buffers> out(ranks, Buffers(buckets));
    test::on_ranks(ranks, [&](Transport& t) {
      const auto me = static_cast<std::size_t>(t.rank());
      CommunicationLane lane(t, in_flight, Time::seconds(30));
      std::vector<std::int64_t> tickets;
      for (int b = 0; b < buckets; ++b) {
        auto& buffer = out[me][static_cast<std::size_t>(b)];
        buffer = in[me];
        tickets.push_back(
            lane.start("a test", [&](std::uint32_t s) { return run_planned(plan, s, buffer, WireType::Fp32, t); }));
      }
      auto last = CommunicationLane::Clock::time_point::min();
      for (const auto ticket : tickets) {
        const auto times = lane.wait(ticket);
        EXPECT_LE(times.begin, times.heard);
        EXPECT_LE(times.heard, times.end);
        EXPECT_LE(last, times.begin) << "they begin in order";
        last = times.begin;
      }
    });
    for (std::size_t r = 0; r < ranks; ++r) {
      for (const auto& buffer : out[r]) {
        ASSERT_LE(test::error_of(buffer, in, WireType::Fp32), 1);
        ASSERT_EQ(buffer, out[0][0]);
      }
    }
  }
}

// Rank 1 comes 60 ms late: rank 0 hears nothing before, rank 1 at once (10 ms are left for a busy machine's threads).
TEST(CommunicationLane, HearsALateRankLate) {
  Buffers buffers(2, std::vector<float>(10, 1.0f));
  const auto plan = test::plan_of(AllreduceAlgorithm::Ring, 2, 2, 10);
  test::on_ranks(2, [&](Transport& t) {
    CommunicationLane lane(t, 1, Time::seconds(30));
    t.barrier();
    if (t.rank() == 1) std::this_thread::sleep_for(std::chrono::milliseconds(60));
    const auto ticket = lane.start("a test", [&](std::uint32_t s) {
      return run_planned(plan, s, buffers[static_cast<std::size_t>(t.rank())], WireType::Fp32, t);
    });
    const auto times = lane.wait(ticket);
    if (t.rank() == 0) {
      EXPECT_GE(times.heard - times.begin, std::chrono::milliseconds(50));
    }
  });
}

std::string error_of_wait(CommunicationLane& lane, std::int64_t ticket) {
  try {
    lane.wait(ticket);
  } catch (const BackendError& e) {
    return e.what();
  }
  return "no BackendError";
}

TEST(CommunicationLane, ARankThatNeverComesIsNamed) {
  std::vector<float> buffer(10, 1.0f);
  {
    const auto transports = thread_transports(3);
    const auto plan = test::plan_of(AllreduceAlgorithm::Ring, 3, 3, 10);
    CommunicationLane lane(*transports[0], 1, Time::milliseconds(50));
    const auto ticket = lane.start("the allreduce of bucket 2", [&](std::uint32_t s) {
      return run_planned(plan, s, buffer, WireType::Fp32, *transports[0]);
    });
    EXPECT_THAT(error_of_wait(lane, ticket),
                testing::AllOf(HasSubstr("rank 0 (host thread 0): no message from rank 2 (host thread 2) for 50.0 ms"),
                               HasSubstr("bucket 2: phase 1 ("), HasSubstr("step 1 of 4")));
    EXPECT_THAT(error_of_wait(lane, ticket), HasSubstr("no message")) << "every later wait says the same";
  }
  {
    const auto transports = thread_transports(3);
    CommunicationLane lane(*transports[1], 1, Time::milliseconds(50));
    const auto ticket =
        lane.start("the ordered sum", [&](std::uint32_t s) { return run_ordered({buffer}, 1, s, *transports[1]); });
    EXPECT_THAT(error_of_wait(lane, ticket), HasSubstr("no message from rank 0 (host thread 0)"));
  }
  {
    const auto transports = thread_transports(3);
    CommunicationLane lane(*transports[2], 1, Time::milliseconds(50));
    const auto ticket = lane.start("the allreduce", [&](std::uint32_t) { return run_library(buffer, *transports[2]); });
    EXPECT_THAT(error_of_wait(lane, ticket), HasSubstr("rank 0 (host thread 0), rank 1 (host thread 1)"));
  }
}

TEST(CommunicationLane, ErrorsOfTheThreadComeOutOfWait) {
  const auto solo = solo_transport();
  CommunicationLane lane(*solo, 1, Time::seconds(1));
  const auto ticket = lane.start(
      "a test", [](std::uint32_t) -> std::unique_ptr<CollectiveRun> { throw BackendError("a cable is cut"); });
  EXPECT_EQ(error_of_wait(lane, ticket), "a cable is cut");
}

}  // namespace
}  // namespace lockstep
