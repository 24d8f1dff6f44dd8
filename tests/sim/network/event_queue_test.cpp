#include "sim/network/event_queue.hpp"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <limits>
#include <map>
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

/// Pushes while it pops: delays of 0 to 2^`bits`, `together` events at a time, against a map that keeps the order of equal times.
void expect_stable_while_pushing(int bits, int together) {
  EventQueue queue;
  std::multimap<std::int64_t, std::uint32_t> model;
  std::uint64_t random = 1;
  std::uint32_t number = 0;
  const auto push = [&] {
    random = random * 6364136223846793005ULL + 1442695040888963407ULL;
    const std::int64_t time = queue.now().picoseconds() + static_cast<std::int64_t>((random >> 20) >> (44 - bits));
    queue.push(ps(time), 0, number, 0);
    model.emplace(time, number++);
  };
  for (int i = 0; i < together; ++i) push();
  for (int i = 0; i < 20'000 && !queue.empty(); ++i) {
    const Event event = queue.pop();
    ASSERT_EQ(event.time, ps(model.begin()->first));
    ASSERT_EQ(event.a, model.begin()->second);
    model.erase(model.begin());
    if (i % 7 != 0) push();
    if (i % 1000 == 0) {
      for (int k = 0; k < together; ++k) push();  // longer than a front may become
    }
  }
  ASSERT_EQ(queue.size(), model.size());
}

TEST(EventQueue, KeepsTheOrderWhilePushing) {
  for (int bits : {0, 1, 4, 7, 13, 20, 30, 43}) {
    for (int together : {1, 5, 40, 500}) expect_stable_while_pushing(bits, together);
  }
}

TEST(EventQueue, LastWaitsForEventsOfItsTimeInAFront) {
  EventQueue queue;
  for (std::uint32_t i = 0; i < 3; ++i) queue.push(ps(1000), 0, i, 0);  // few: a front
  EXPECT_EQ(queue.pop().a, 0U);
  queue.push_last(0, 10, 0);
  queue.push(ps(1000), 0, 3, 0);
  for (std::uint32_t a : {1U, 2U, 3U, 10U}) EXPECT_EQ(queue.pop().a, a);
}

TEST(EventQueue, ReachesTheEndOfTime) {
  EventQueue queue;
  const std::int64_t end = std::numeric_limits<std::int64_t>::max();
  for (std::int64_t back : {0, 5, 1}) queue.push(ps(end - back), 0, static_cast<std::uint32_t>(back), 0);
  for (std::uint32_t back : {5U, 1U, 0U}) EXPECT_EQ(queue.pop().a, back);
}

}  // namespace
}  // namespace lockstep::sim
