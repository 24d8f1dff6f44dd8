#include "core/plan/checker.hpp"

#include <fmt/format.h>

#include <map>
#include <memory>
#include <tuple>
#include <vector>

#include "core/base/error.hpp"
#include "core/base/rng.hpp"

namespace lockstep {

namespace {

using Mask = std::uint64_t;   // the set of ranks whose contribution an element holds

struct Message {
  int from = 0;
  Span span;
  std::vector<Mask> values;
};

struct Lane {
  std::int64_t step = 0, total = 0;
  bool begun = false;
  ScheduleStep now;
};

bool overlap(Span a, Span b) { return a.length > 0 && b.length > 0 && a.begin < b.begin + b.length && b.begin < a.begin + a.length; }

class Execution {
 public:
  Execution(const CheckedCollective& c, std::uint64_t seed) : c_(c), rng_(seed, "checker") {
    const auto world = static_cast<std::size_t>(c.world);
    buffers_.assign(world, std::vector<Mask>(static_cast<std::size_t>(c.elements)));
    for (std::size_t r = 0; r < world; ++r) std::fill(buffers_[r].begin(), buffers_[r].end(), Mask{1} << r);
    phase_.assign(world, -1);
    lanes_.resize(world);
    for (int r = 0; r < c.world; ++r) next_phase(r);
  }

  std::optional<std::string> run() {
    std::vector<int> order(static_cast<std::size_t>(c_.world));
    for (int r = 0; r < c_.world; ++r) order[static_cast<std::size_t>(r)] = r;
    while (true) {
      for (std::size_t i = order.size(); i > 1; --i) std::swap(order[i - 1], order[rng_.below(i)]);
      bool progress = false;
      for (int r : order) {
        while (turn(r)) progress = true;
        if (!fault_.empty()) return fault_;
      }
      if (!progress) break;
    }
    for (int r = 0; r < c_.world; ++r) {
      if (phase_[static_cast<std::size_t>(r)] < c_.phases) return fmt::format("deadlock: rank {} waits in phase {}{}", r, phase_[static_cast<std::size_t>(r)], waiting(r));
    }
    if (!mail_.empty()) {
      const auto& [phase, rank, lane, step] = mail_.begin()->first;
      return fmt::format("a message from rank {} to rank {} (phase {}, lane {}, step {}) is never received", mail_.begin()->second.from, rank, phase, lane, step);
    }
    const Mask all = c_.world == 64 ? ~Mask{0} : (Mask{1} << c_.world) - 1;
    for (int r = 0; r < c_.world; ++r) {
      for (std::size_t e = 0; e < buffers_[static_cast<std::size_t>(r)].size(); ++e) {
        const Mask has = buffers_[static_cast<std::size_t>(r)][e];
        if (has != all) return fmt::format("rank {} ends with element {} missing contributions {:#x}", r, e, all & ~has);
      }
    }
    return std::nullopt;
  }

 private:
  void next_phase(int r) {
    auto& phase = phase_[static_cast<std::size_t>(r)];
    auto& lanes = lanes_[static_cast<std::size_t>(r)];
    while (++phase < c_.phases) {
      lanes.clear();
      if (!c_.takes_part(phase, r)) continue;
      bool work = false;
      for (int l = 0; l < c_.lanes(phase, r); ++l) {
        Lane lane;
        lane.total = c_.steps(phase, r, l);
        work = work || lane.total > 0;
        lanes.push_back(lane);
      }
      if (work) return;
    }
    lanes.clear();
  }

  std::string waiting(int r) const {
    const auto& lanes = lanes_[static_cast<std::size_t>(r)];
    std::string text;
    for (std::size_t l = 0; l < lanes.size(); ++l) {
      if (lanes[l].step < lanes[l].total) text += fmt::format(", lane {} at step {} of {}", l, lanes[l].step, lanes[l].total);
    }
    return text;
  }

  /// Begins or completes one step of some lane of the rank; false if none can move.
  bool turn(int r) {
    auto& lanes = lanes_[static_cast<std::size_t>(r)];
    if (lanes.empty() || !fault_.empty()) return false;
    const std::size_t first = rng_.below(lanes.size());
    for (std::size_t i = 0; i < lanes.size(); ++i) {
      const std::size_t l = (first + i) % lanes.size();
      if (lanes[l].step < lanes[l].total && (lanes[l].begun ? complete(r, l) : begin(r, l))) {
        bool open = false;
        for (const Lane& lane : lanes) open = open || lane.step < lane.total;
        if (!open) next_phase(r);
        return fault_.empty();
      }
    }
    return false;
  }

  bool begin(int r, std::size_t l) {
    auto& lanes = lanes_[static_cast<std::size_t>(r)];
    Lane& lane = lanes[l];
    const int phase = phase_[static_cast<std::size_t>(r)];
    const ScheduleStep s = c_.step(phase, r, static_cast<int>(l), lane.step);
    for (const auto& wait : s.waits) {
      if (wait.lane >= 0 && lanes[static_cast<std::size_t>(wait.lane)].step < wait.steps) return false;
    }
    if (!inside(s.send) || !inside(s.receive)) return fail("rank {} (phase {}, lane {}, step {}) leaves the buffer", r, phase, l, lane.step);
    for (std::size_t other = 0; other < lanes.size(); ++other) {
      if (other == l || !lanes[other].begun) continue;
      const ScheduleStep& o = lanes[other].now;
      const bool writes_mine = o.receive_from >= 0 && ((s.send_to >= 0 && overlap(o.receive, s.send)) || (s.receive_from >= 0 && overlap(o.receive, s.receive)));
      const bool reads_mine = o.send_to >= 0 && s.receive_from >= 0 && overlap(o.send, s.receive);
      if (writes_mine || reads_mine) return fail("rank {} (phase {}): lanes {} and {} touch the same elements at once", r, phase, l, other);
    }
    if (s.send_to >= 0 && s.receive_from >= 0 && overlap(s.send, s.receive)) return fail("rank {} (phase {}, lane {}, step {}) sends what it is receiving", r, phase, l, lane.step);
    lane.begun = true;
    lane.now = s;
    if (s.send_to >= 0) {
      const auto& buffer = buffers_[static_cast<std::size_t>(r)];
      Message m{r, s.send, {buffer.begin() + s.send.begin, buffer.begin() + s.send.begin + s.send.length}};
      const auto [it, fresh] = mail_.emplace(std::tuple{phase, s.send_to, s.send_lane, s.send_step}, std::move(m));
      if (!fresh) return fail("ranks {} and {} both send to rank {}, phase {}, lane {}, step {}", it->second.from, r, s.send_to, phase, s.send_lane, s.send_step);
    }
    return true;
  }

  bool complete(int r, std::size_t l) {
    Lane& lane = lanes_[static_cast<std::size_t>(r)][l];
    const ScheduleStep& s = lane.now;
    const int phase = phase_[static_cast<std::size_t>(r)];
    if (s.receive_from >= 0) {
      const auto it = mail_.find(std::tuple{phase, r, static_cast<int>(l), lane.step});
      if (it == mail_.end()) return false;
      const Message& m = it->second;
      if (m.from != s.receive_from) return fail("rank {} (phase {}, lane {}, step {}) expects rank {} and hears from rank {}", r, phase, l, lane.step, s.receive_from, m.from);
      if (!(m.span == s.receive)) {
        return fail("rank {} (phase {}, lane {}, step {}) expects elements [{}, +{}) and gets [{}, +{})", r, phase, l, lane.step, s.receive.begin, s.receive.length, m.span.begin, m.span.length);
      }
      auto& buffer = buffers_[static_cast<std::size_t>(r)];
      for (std::size_t e = 0; e < m.values.size(); ++e) {
        Mask& mine = buffer[static_cast<std::size_t>(s.receive.begin) + e];
        if (s.reduce && (mine & m.values[e])) return fail("rank {} (phase {}, lane {}, step {}) adds contributions {:#x} twice", r, phase, l, lane.step, mine & m.values[e]);
        mine = s.reduce ? mine | m.values[e] : m.values[e];
      }
      mail_.erase(it);
    }
    ++lane.step;
    lane.begun = false;
    return true;
  }

  bool inside(Span s) const { return s.length >= 0 && s.begin >= 0 && s.begin + s.length <= c_.elements; }

  template <class... Args>
  bool fail(fmt::format_string<Args...> text, Args&&... args) {
    fault_ = fmt::format(text, std::forward<Args>(args)...);
    return false;
  }

  const CheckedCollective& c_;
  Rng rng_;
  std::vector<std::vector<Mask>> buffers_;
  std::vector<int> phase_;
  std::vector<std::vector<Lane>> lanes_;
  std::map<std::tuple<int, int, int, std::int64_t>, Message> mail_;   // (phase, receiver, lane, step)
  std::string fault_;
};

}  // namespace

CheckedCollective checked(const CollectivePlan& plan) {
  auto shared = std::make_shared<const CollectivePlan>(plan);
  // Schedules by (phase, column): groups of a phase differ only in the span that a column owns.
  auto schedules = std::make_shared<std::vector<std::vector<Schedule>>>();
  for (const Phase& phase : shared->phases) {
    schedules->emplace_back();
    for (int column = 0; column < (phase.group == Group::Column ? shared->grid.x : 1); ++column) {
      schedules->back().push_back(shared->schedule(phase, Rank(column)));
    }
  }
  const auto phase_of = [shared](int p) -> const Phase& { return shared->phases[static_cast<std::size_t>(p)]; };
  const auto schedule_of = [shared, schedules, phase_of](int p, int r) -> const Schedule& {
    const std::size_t column = phase_of(p).group == Group::Column ? static_cast<std::size_t>(r % shared->grid.x) : 0;
    return (*schedules)[static_cast<std::size_t>(p)][column];
  };
  CheckedCollective c;
  c.world = plan.grid.size();
  c.phases = static_cast<int>(plan.phases.size());
  c.elements = plan.elements;
  c.takes_part = [=](int p, int r) { return shared->takes_part(phase_of(p), Rank(r)); };
  c.lanes = [=](int p, int r) { return schedule_of(p, r).lanes(shared->member(phase_of(p), Rank(r))); };
  c.steps = [=](int p, int r, int l) { return schedule_of(p, r).steps(shared->member(phase_of(p), Rank(r)), l); };
  c.step = [=](int p, int r, int l, std::int64_t i) {
    ScheduleStep s = schedule_of(p, r).step(shared->member(phase_of(p), Rank(r)), l, i);
    if (s.send_to >= 0) s.send_to = shared->rank(phase_of(p), Rank(r), s.send_to).value;
    if (s.receive_from >= 0) s.receive_from = shared->rank(phase_of(p), Rank(r), s.receive_from).value;
    return s;
  };
  return c;
}

std::optional<std::string> check(const CheckedCollective& collective, std::uint64_t seed) {
  LOCKSTEP_EXPECTS(collective.world >= 1 && collective.world <= 64);
  return Execution(collective, seed).run();
}

std::optional<std::string> check(const CollectivePlan& plan, std::uint64_t seed) { return check(checked(plan), seed); }

}  // namespace lockstep
