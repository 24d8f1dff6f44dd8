#include "sim/network/event_queue.hpp"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "core/base/error.hpp"

namespace lockstep::sim {
namespace {

Time ps(std::int64_t n) { return Time::picoseconds(n); }

TEST(EventQueue, PopsByTimeThenByOrderOfArrival) {
  EventQueue queue;
  queue.push(ps(20), 0, 1, 0);
  queue.push(ps(10), 0, 2, 0);
  queue.push(ps(20), 0, 3, 0);
  queue.push(ps(10), 0, 4, 0);
  std::vector<std::uint32_t> order;
  while (!queue.empty()) order.push_back(queue.pop().a);
  EXPECT_EQ(order, (std::vector<std::uint32_t>{2, 4, 1, 3}));
  EXPECT_EQ(queue.now(), ps(20));
  EXPECT_EQ(queue.popped(), 4U);
}

TEST(EventQueue, LastComesAfterEventsOfItsTimeThatArriveLater) {
  EventQueue queue;
  queue.push(ps(5), 0, 0, 0);
  queue.push(ps(5), 0, 1, 0);
  EXPECT_EQ(queue.pop().a, 0U);
  queue.push_last(0, 9, 0);
  EXPECT_EQ(queue.pop().a, 1U);
  queue.push(ps(5), 0, 2, 0);
  queue.push(ps(6), 0, 3, 0);
  EXPECT_EQ(queue.pop().a, 2U);
  EXPECT_EQ(queue.pop().a, 9U);
  EXPECT_EQ(queue.pop().a, 3U);
}

TEST(EventQueue, RefusesThePastAndPoppingNothing) {
  EventQueue queue;
  queue.push(ps(5), 0, 0, 0);
  queue.pop();
  EXPECT_THROW(queue.push(ps(4), 0, 0, 0), InternalError);
  EXPECT_THROW(queue.pop(), InternalError);
}

TEST(EventQueue, RestartForgetsEventsButNotTheDigest) {
  EventQueue queue;
  queue.push(ps(5), 1, 2, 3);
  queue.pop();
  const std::uint64_t digest = queue.digest();
  queue.push(ps(9), 0, 0, 0);
  queue.restart(ps(0));
  EXPECT_TRUE(queue.empty());
  EXPECT_EQ(queue.now(), ps(0));
  EXPECT_EQ(queue.digest(), digest);
}

TEST(EventQueue, DigestTellsEveryFieldApart) {
  const auto digest = [](std::int64_t time, std::uint32_t kind, std::uint32_t a, std::uint64_t b) {
    EventQueue queue;
    queue.push(ps(time), kind, a, b);
    queue.pop();
    return queue.digest();
  };
  EXPECT_EQ(digest(1, 2, 3, 4), digest(1, 2, 3, 4));
  EXPECT_NE(digest(1, 2, 3, 4), digest(2, 2, 3, 4));
  EXPECT_NE(digest(1, 2, 3, 4), digest(1, 3, 3, 4));
  EXPECT_NE(digest(1, 2, 3, 4), digest(1, 2, 4, 4));
  EXPECT_NE(digest(1, 2, 3, 4), digest(1, 2, 3, 5));
}

RC_GTEST_PROP(EventQueue, PopsLikeAStableSort, (const std::vector<std::uint8_t>& times)) {
  EventQueue queue;
  std::vector<std::pair<std::int64_t, std::uint32_t>> expected;
  for (std::uint32_t i = 0; i < times.size(); ++i) {
    queue.push(ps(times[i]), 0, i, 0);
    expected.emplace_back(times[i], i);
  }
  std::stable_sort(expected.begin(), expected.end(), [](const auto& x, const auto& y) { return x.first < y.first; });
  for (const auto& [time, i] : expected) {
    const Event event = queue.pop();
    RC_ASSERT(event.time == ps(time));
    RC_ASSERT(event.a == i);
  }
  RC_ASSERT(queue.empty());
}

}  // namespace
}  // namespace lockstep::sim
