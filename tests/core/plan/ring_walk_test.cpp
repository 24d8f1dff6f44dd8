#include "core/plan/ring_walk.hpp"

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <algorithm>
#include <numeric>
#include <variant>

namespace lockstep {
namespace {

TEST(RingWalk, SaysWhatTheScheduleSays) {
  EXPECT_TRUE(rc::check([] {
    const int members = *rc::gen::inRange(2, 14);
    std::vector<std::vector<int>> orders(static_cast<std::size_t>(*rc::gen::inRange(0, 5)));
    for (auto& order : orders) {
      order.resize(static_cast<std::size_t>(members));
      std::iota(order.begin(), order.end(), 0);
      for (std::size_t i = order.size(); i > 1; --i)
        std::swap(order[i - 1], order[*rc::gen::inRange<std::size_t>(0, i)]);
    }
    const auto op = *rc::gen::element(CollectiveOp::Allreduce, CollectiveOp::ReduceScatter, CollectiveOp::AllGather);
    const Span buffer{*rc::gen::inRange<std::int64_t>(0, 100), *rc::gen::inRange<std::int64_t>(0, 300)};
    const std::int64_t chunk = *rc::gen::inRange<std::int64_t>(0, 12);  // an Allreduce in loops
    const Schedule schedule = ring_schedule(op, buffer, members, RingOrders(orders), chunk);
    const auto& ring = std::get<RingSchedule>(schedule.variant());
    const RingWalk walk(ring);
    for (int m = 0; m < members; ++m) {
      for (int lane = 0; lane < schedule.lanes(m); ++lane) {
        const int place = ring.orders.place_of(lane, m);
        for (std::int32_t i = 0; i < schedule.steps(m, lane); ++i) {
          const ScheduleStep says = schedule.step(m, lane, i);
          const RingWalk::Step walks = walk.step(lane, place, i);
          RC_ASSERT(walks.sent == says.send.length);
          RC_ASSERT(walks.received == says.receive.length);
          RC_ASSERT(walks.reduce == says.reduce);
          RC_ASSERT(says.send_to == ring.orders.member_at(lane, (place + 1) % members));
          RC_ASSERT(says.send_lane == lane && says.send_step == i && says.receive_from >= 0);
        }
      }
    }
  }));
}

}  // namespace
}  // namespace lockstep
