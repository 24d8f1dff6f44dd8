#include "sim/fold/exchanges.hpp"

#include <algorithm>
#include <span>

#include "core/base/error.hpp"
#include "sim/fold/group_schedules.hpp"

namespace lockstep::sim {

Exchanges exchanges_of(Fabric& fabric, const EngineSettings& settings, const CollectivePlan& plan, const Phase& phase,
                       const ProtocolSpec& protocol) {
  const GroupSchedules groups(plan, phase);
  const int world = plan.grid.size();
  Exchanges e;
  std::int64_t longest = 0;
  for (int r = 0; r < world; ++r) {
    const std::int64_t steps = groups.takes_part(r) ? groups.of(r).steps(groups.member(r), 0) : 0;
    e.first.push_back(static_cast<std::int64_t>(e.costs.size()));
    e.costs.resize(e.costs.size() + at(steps));
    longest = std::max(longest, steps);
  }
  e.first.push_back(static_cast<std::int64_t>(e.costs.size()));
  std::vector<std::int32_t> load(fabric.links().size());
  std::vector<std::span<const std::int32_t>> links(at(world));
  for (std::int64_t k = 0; k < longest; ++k) {
    std::fill(load.begin(), load.end(), 0);
    for (int r = 0; r < world; ++r) {
      links[at(r)] = {};
      if (k >= e.first[at(r) + 1] - e.first[at(r)]) continue;
      const ScheduleStep step = groups.of(r).step(groups.member(r), 0, k);
      if (step.send_to < 0) continue;
      const Route& route =
          fabric.route(settings.gpu_of_rank[at(r)], settings.gpu_of_rank[at(groups.peer(r, step.send_to))]);
      e.costs[at(e.first[at(r)] + k)] = message_cost(settings.library, protocol, phase, route, settings.gpudirect);
      links[at(r)] = route.links;
      for (std::int32_t l : route.links) ++load[at(l)];
    }
    for (int r = 0; r < world; ++r) {
      for (std::int32_t l : links[at(r)]) {
        Bandwidth& cap = e.costs[at(e.first[at(r)] + k)].cap;
        cap = std::min(cap, fabric.links()[at(l)].capacity / load[at(l)]);
      }
    }
  }
  return e;
}

Time exchange_time(const EngineSettings& settings, const CollectivePlan& plan, const Phase& phase,
                   const Exchanges& exchanges) {
  struct Sender {
    std::int64_t step = 0;
    bool begun = false;
    Time start, sent;
  };
  const GroupSchedules groups(plan, phase);
  const int world = plan.grid.size();
  std::vector<Sender> senders(at(world));
  std::vector<Time> arrivals(exchanges.costs.size(), Time::never());
  const Bandwidth reduce = settings.library.reduce.value;
  Time end;
  for (bool moved = true; moved;) {
    moved = false;
    for (int r = 0; r < world; ++r) {
      Sender& s = senders[at(r)];
      const std::int64_t first = exchanges.first[at(r)], steps = exchanges.first[at(r) + 1] - first;
      while (s.step < steps) {
        const ScheduleStep step = groups.of(r).step(groups.member(r), 0, s.step);
        if (!s.begun) {
          s.begun = moved = true;
          s.sent = s.start;
          if (step.send_to >= 0) {
            const MessageCost& cost = exchanges.costs[at(first + s.step)];
            const double bytes = static_cast<double>(step.send.length * plan.element_bytes) / cost.efficiency;
            if (bytes > 0) s.sent += Time::seconds(bytes / cost.cap.bytes_per_second());
            arrivals[at(exchanges.first[at(groups.peer(r, step.send_to))] + step.send_step)] = s.sent + cost.latency;
          }
        }
        Time done = s.sent;
        if (step.receive_from >= 0) {
          const Time arrival = arrivals[at(first + s.step)];
          if (arrival == Time::never()) break;
          Time combined = std::max(s.start, arrival);
          if (step.reduce && reduce.bytes_per_second() > 0 && step.receive.length > 0)
            combined += Bytes(step.receive.length * plan.element_bytes) / reduce;
          done = std::max(done, combined);
        }
        s.start = done;
        s.begun = false;
        ++s.step;
        moved = true;
        end = std::max(end, done);
      }
    }
  }
  for (int r = 0; r < world; ++r)
    LOCKSTEP_EXPECTS(senders[at(r)].step == exchanges.first[at(r) + 1] - exchanges.first[at(r)]);
  return end;
}

}  // namespace lockstep::sim
