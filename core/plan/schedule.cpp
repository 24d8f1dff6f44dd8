#include "core/plan/schedule.hpp"

#include <algorithm>

#include "core/base/error.hpp"

namespace lockstep {

Span part(Span whole, std::int64_t i, std::int64_t n) {
  // floor(L k / n) with L = q n + r, without forming L k, which could overflow.
  const std::int64_t q = whole.length / n, r = whole.length % n;
  const std::int64_t begin = q * i + r * i / n;
  const std::int64_t end = q * (i + 1) + r * (i + 1) / n;
  return {whole.begin + begin, end - begin};
}

std::int64_t chunk_count(std::int64_t length, std::int64_t chunk) {
  return length <= 0 ? 1 : (length + chunk - 1) / chunk;
}

RingOrders::RingOrders(std::vector<std::vector<int>> orders) {
  if (orders.empty()) return;
  Tables tables;
  for (const auto& order : orders) {
    LOCKSTEP_EXPECTS(!order.empty() && order.size() == orders.front().size());
    std::vector<int> places(order.size(), -1);
    for (std::size_t i = 0; i < order.size(); ++i) {
      LOCKSTEP_EXPECTS(order[i] >= 0 && order[i] < static_cast<int>(order.size()) &&
                       places[static_cast<std::size_t>(order[i])] < 0);
      places[static_cast<std::size_t>(order[i])] = static_cast<int>(i);
    }
    tables.places.push_back(std::move(places));
  }
  tables.orders = std::move(orders);
  tables_ = std::make_shared<const Tables>(std::move(tables));
}

int Schedule::members() const {
  return std::visit([](const auto& s) { return s.members; }, v_);
}
int Schedule::lanes(int member) const {
  return std::visit([&](const auto& s) { return s.lanes(member); }, v_);
}
std::int64_t Schedule::steps(int member, int lane) const {
  return std::visit([&](const auto& s) { return s.steps(member, lane); }, v_);
}
ScheduleStep Schedule::step(int member, int lane, std::int64_t index) const {
  return std::visit([&](const auto& s) { return s.step(member, lane, index); }, v_);
}

int Schedule::coupled_lanes() const {
  if (const auto* tree = std::get_if<TreeSchedule>(&v_)) return tree->lanes_per_tree();
  if (const auto* nvls = std::get_if<NvlsSchedule>(&v_)) return nvls->lanes_per_part();
  const auto* ring = std::get_if<RingSchedule>(&v_);
  const bool chain = ring && (ring->op == CollectiveOp::Reduce || ring->op == CollectiveOp::Broadcast);
  return chain ? 2 : 0;
}

int Schedule::senders(int lane) const {
  const auto* nvls = std::get_if<NvlsSchedule>(&v_);
  return nvls && lane % nvls->lanes_per_part() == NvlsSchedule::kGather ? nvls->node - 1 : 1;
}

Schedule ring_schedule(CollectiveOp op, Span buffer, int members, RingOrders orders, std::int64_t chunk) {
  LOCKSTEP_EXPECTS(members >= 1 && buffer.length >= 0);
  LOCKSTEP_EXPECTS(orders.empty() || static_cast<int>(orders[0].size()) == members);
  const std::int64_t pieces = std::int64_t{members} * orders.channels();
  const std::int64_t loops =
      op == CollectiveOp::Allreduce && chunk > 0 ? chunk_count(buffer.length, chunk * pieces) : 1;
  return Schedule(RingSchedule{op, buffer, members, std::move(orders),
                               chunk > 0 ? chunk : std::max<std::int64_t>(1, buffer.length), loops});
}

Schedule halving_doubling_schedule(Span buffer, int members) {
  LOCKSTEP_EXPECTS(members >= 1 && buffer.length >= 0);
  return Schedule(HalvingDoublingSchedule{buffer, members});
}

Schedule tree_schedule(Span buffer, int members, std::int64_t chunk, RingOrders orders, RingOrders last_orders) {
  LOCKSTEP_EXPECTS(members >= 1 && buffer.length >= 0 && chunk >= 1);
  if (!orders.empty()) {
    const std::size_t rest = static_cast<std::size_t>(members) % orders[0].size();
    LOCKSTEP_EXPECTS(rest == 0 || (last_orders.size() == orders.size() && last_orders[0].size() == rest));
  }
  return Schedule(TreeSchedule{buffer, members, chunk, std::move(orders), std::move(last_orders)});
}

}  // namespace lockstep
