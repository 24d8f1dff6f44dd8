#include "core/plan/checker.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <memory>
#include <tuple>
#include <vector>

#include "core/base/error.hpp"
#include "core/base/rng.hpp"

namespace lockstep {

namespace {

using Mask = std::uint64_t;                // the set of ranks whose contribution an element holds
using Clock = std::vector<std::uint32_t>;  // per lane of the world: ticks known to have passed; step k begins at 2k +
                                           // 1, ends at 2k + 2

void join(Clock& into, const Clock& other) {
  for (std::size_t i = 0; i < into.size(); ++i) into[i] = std::max(into[i], other[i]);
}

struct Message {
  int from = 0;
  Span span;
  std::vector<Mask> values;
  Clock known;  // to the sender when the step began
};

struct Lane {
  std::vector<ScheduleStep> program;
  std::size_t step = 0;
  bool begun = false;
  Clock known;              // when the current step began, or the last one ended
  std::vector<Clock> ends;  // after each step; kept only where a lane of the rank waits
  bool done() const { return step == program.size(); }
};

/// Who last wrote an element and who has read it since: lane (global) and the tick at which that step ends.
struct Use {
  std::size_t lane = 0;
  std::uint32_t end = 0;  // 0 = nobody
};
struct Element {
  Mask holds = 0;
  Use writer;
  std::vector<Use> readers;
};

bool overlap(Span a, Span b) {
  return a.length > 0 && b.length > 0 && a.begin < b.begin + b.length && b.begin < a.begin + a.length;
}

class Execution {
 public:
  Execution(const CheckedCollective& c, std::uint64_t seed)
      : c_(c), rng_(seed, "checker"), ranks_(static_cast<std::size_t>(c.world)) {
    std::size_t lanes = 0;
    for (int r = 0; r < c.world; ++r) {
      int most = 0;
      for (int p = 0; p < c.phases; ++p) most = std::max(most, c.takes_part(p, r) ? c.lanes(p, r) : 0);
      ranks_[static_cast<std::size_t>(r)].first_lane = lanes;
      lanes += static_cast<std::size_t>(most);
    }
    for (int r = 0; r < c.world; ++r) {
      RankState& me = ranks_[static_cast<std::size_t>(r)];
      me.known.assign(lanes, 0);
      me.buffer.resize(static_cast<std::size_t>(c.elements));
      for (std::int64_t e = 0; e < c.elements; ++e)
        me.buffer[static_cast<std::size_t>(e)].holds = c.start ? c.start(r, e) : Mask{1} << r;
      next_phase(r);
    }
  }

  std::optional<std::string> run() {
    std::vector<int> order(ranks_.size());
    for (std::size_t r = 0; r < order.size(); ++r) order[r] = static_cast<int>(r);
    for (bool progress = true; progress;) {
      for (std::size_t i = order.size(); i > 1; --i) std::swap(order[i - 1], order[rng_.below(i)]);
      progress = false;
      for (int r : order) {
        while (turn(r)) progress = true;
        if (!fault_.empty()) return fault_;
      }
    }
    if (const int r = furthest_behind(); r >= 0)
      return fmt::format("deadlock: rank {} is stuck in phase {}{}", r, at(r).phase, stuck(r));
    if (!mail_.empty()) {
      const auto& [phase, rank, lane, step] = mail_.begin()->first;
      return fmt::format("a message from rank {} to rank {} (phase {}, lane {}, step {}) is never received",
                         mail_.begin()->second.from, rank, phase, lane, step);
    }
    const Mask all = c_.world == 64 ? ~Mask{0} : (Mask{1} << c_.world) - 1;
    for (int r = 0; r < c_.world; ++r) {
      for (std::int64_t e = 0; e < c_.elements; ++e) {
        const Mask has = ranks_[static_cast<std::size_t>(r)].buffer[static_cast<std::size_t>(e)].holds;
        const Mask want = c_.expected ? c_.expected(r, e) : all;
        if (want == 0 || has == want) continue;
        if (want & ~has)
          return fmt::format("rank {} ends with element {} missing contributions {:#x}", r, e, want & ~has);
        return fmt::format("rank {} ends with element {} holding contributions {:#x} beyond its own share", r, e,
                           has & ~want);
      }
    }
    return std::nullopt;
  }

 private:
  struct RankState {
    int phase = -1;
    bool waits = false;               // some step of this phase waits for another lane
    std::size_t first_lane = 0;       // in clocks
    Clock known;                      // when the phase began
    std::vector<std::uint32_t> past;  // steps of each lane in earlier phases
    std::vector<Lane> lanes;
    std::vector<Element> buffer;
  };

  RankState& at(int r) { return ranks_[static_cast<std::size_t>(r)]; }

  void next_phase(int r) {
    RankState& me = at(r);
    for (std::size_t l = 0; l < me.lanes.size(); ++l) {
      join(me.known, me.lanes[l].known);
      me.past[l] += static_cast<std::uint32_t>(me.lanes[l].program.size());
    }
    me.lanes.clear();
    me.waits = false;
    while (++me.phase < c_.phases) {
      if (!c_.takes_part(me.phase, r)) continue;
      me.lanes.resize(static_cast<std::size_t>(c_.lanes(me.phase, r)));
      me.past.resize(std::max(me.past.size(), me.lanes.size()));
      bool work = false;
      for (std::size_t l = 0; l < me.lanes.size(); ++l) {
        Lane& lane = me.lanes[l];
        lane.known = me.known;
        const std::int64_t total = c_.steps(me.phase, r, static_cast<int>(l));
        for (std::int64_t i = 0; i < total; ++i) {
          lane.program.push_back(c_.step(me.phase, r, static_cast<int>(l), i));
          for (const auto& wait : lane.program.back().waits) me.waits = me.waits || wait.lane >= 0;
        }
        work = work || total > 0;
      }
      if (work) return;
      me.lanes.clear();
    }
  }

  /// The unfinished rank with the lowest phase and step, most likely where a deadlock comes from; -1 if all are done.
  int furthest_behind() const {
    std::pair<int, std::size_t> least{c_.phases, 0};
    int rank = -1;
    for (int r = 0; r < c_.world; ++r) {
      const RankState& me = ranks_[static_cast<std::size_t>(r)];
      for (const Lane& lane : me.lanes) {
        if (lane.done() || std::pair{me.phase, lane.step} >= least) continue;
        least = {me.phase, lane.step};
        rank = r;
      }
    }
    return rank;
  }

  std::string stuck(int r) const {
    const RankState& me = ranks_[static_cast<std::size_t>(r)];
    std::string text;
    for (std::size_t l = 0; l < me.lanes.size(); ++l) {
      const Lane& lane = me.lanes[l];
      if (lane.done()) continue;
      const ScheduleStep& s = lane.program[lane.step];
      text += fmt::format("; lane {}, step {} of {}: ", l, lane.step, lane.program.size());
      text += lane.begun ? fmt::format("nothing comes from rank {}", s.receive_from) : "waits for another lane";
    }
    return text;
  }

  /// Begins or completes one step of some lane of the rank; false if none can move.
  bool turn(int r) {
    RankState& me = at(r);
    if (me.lanes.empty() || !fault_.empty()) return false;
    const std::size_t first = rng_.below(me.lanes.size());
    for (std::size_t i = 0; i < me.lanes.size(); ++i) {
      const std::size_t l = (first + i) % me.lanes.size();
      if (me.lanes[l].done() || !(me.lanes[l].begun ? complete(r, l) : begin(r, l))) continue;
      if (std::all_of(me.lanes.begin(), me.lanes.end(), [](const Lane& lane) { return lane.done(); })) next_phase(r);
      return fault_.empty();
    }
    return false;
  }

  bool begin(int r, std::size_t l) {
    RankState& me = at(r);
    Lane& lane = me.lanes[l];
    const ScheduleStep& s = lane.program[lane.step];
    for (const auto& wait : s.waits) {
      if (wait.lane < 0 || wait.steps <= 0) continue;
      const auto on = static_cast<std::size_t>(wait.lane), steps = static_cast<std::size_t>(wait.steps);
      if (on >= me.lanes.size() || steps > me.lanes[on].program.size())
        return fail("{} waits for {} steps of lane {}, which has fewer", name(r, l), wait.steps, wait.lane);
      if (me.lanes[on].step < steps) return false;
    }
    for (const auto& wait : s.waits) {
      if (wait.lane >= 0 && wait.steps > 0)
        join(lane.known, me.lanes[static_cast<std::size_t>(wait.lane)].ends[static_cast<std::size_t>(wait.steps) - 1]);
    }
    const std::uint32_t tick = 2 * (me.past[l] + static_cast<std::uint32_t>(lane.step)) + 1;
    lane.known[me.first_lane + l] = tick;
    lane.begun = true;
    const bool sends = s.send_to >= 0, receives = s.receive_from >= 0;
    if ((sends && !inside(s.send)) || (receives && !inside(s.receive))) return fail("{} leaves the buffer", name(r, l));
    if (sends && receives && overlap(s.send, s.receive)) return fail("{} sends what it is receiving", name(r, l));
    const Use mine{me.first_lane + l, tick + 1};
    if (sends && !note(r, l, s.send, mine, false)) return false;
    if (receives && !note(r, l, s.receive, mine, true)) return false;
    return !sends || post(r, l, s);
  }

  /// Notes a use of the elements by a step that begins; every earlier use that conflicts must be known to be over.
  bool note(int r, std::size_t l, Span span, Use mine, bool writes) {
    RankState& me = at(r);
    const Clock& known = me.lanes[l].known;
    for (std::int64_t e = span.begin; e < span.begin + span.length; ++e) {
      Element& element = me.buffer[static_cast<std::size_t>(e)];
      const auto over = [&](const Use& use) { return use.lane == mine.lane || known[use.lane] >= use.end; };
      if (element.writer.end > 0 && !over(element.writer)) {
        return fail("{} touches element {}, which lane {} may be writing at the same time", name(r, l), e,
                    element.writer.lane - me.first_lane);
      }
      if (writes) {
        for (const Use& reader : element.readers) {
          if (!over(reader))
            return fail("{} overwrites element {}, which lane {} may be sending at the same time", name(r, l), e,
                        reader.lane - me.first_lane);
        }
        element.readers.clear();
        element.writer = mine;
      } else {
        element.readers.push_back(mine);
      }
    }
    return true;
  }

  bool post(int r, std::size_t l, const ScheduleStep& s) {
    const RankState& me = at(r);
    const bool exists = s.send_to < c_.world && s.send_to != r && c_.takes_part(me.phase, s.send_to) &&
                        s.send_lane >= 0 && s.send_lane < c_.lanes(me.phase, s.send_to) && s.send_step >= 0 &&
                        s.send_step < c_.steps(me.phase, s.send_to, s.send_lane);
    if (!exists)
      return fail("{} sends to rank {}, lane {}, step {}, which does not exist", name(r, l), s.send_to, s.send_lane,
                  s.send_step);
    Message m{r, s.send, {}, me.lanes[l].known};
    for (std::int64_t e = s.send.begin; e < s.send.begin + s.send.length; ++e)
      m.values.push_back(me.buffer[static_cast<std::size_t>(e)].holds);
    const auto [it, fresh] = mail_.emplace(std::tuple{me.phase, s.send_to, s.send_lane, s.send_step}, std::move(m));
    if (!fresh)
      return fail("ranks {} and {} both send to rank {}, phase {}, lane {}, step {}", it->second.from, r, s.send_to,
                  me.phase, s.send_lane, s.send_step);
    return true;
  }

  bool complete(int r, std::size_t l) {
    RankState& me = at(r);
    Lane& lane = me.lanes[l];
    const ScheduleStep& s = lane.program[lane.step];
    if (s.receive_from >= 0) {
      const auto it = mail_.find(std::tuple{me.phase, r, static_cast<int>(l), static_cast<std::int64_t>(lane.step)});
      if (it == mail_.end()) return false;
      const Message& m = it->second;
      if (m.from != s.receive_from)
        return fail("{} expects rank {} and hears from rank {}", name(r, l), s.receive_from, m.from);
      if (!(m.span == s.receive)) {
        return fail("{} expects elements [{}, +{}) and gets [{}, +{})", name(r, l), s.receive.begin, s.receive.length,
                    m.span.begin, m.span.length);
      }
      for (std::size_t i = 0; i < m.values.size(); ++i) {
        Mask& mine = me.buffer[static_cast<std::size_t>(s.receive.begin) + i].holds;
        if (s.reduce && (mine & m.values[i]))
          return fail("{} adds contributions {:#x} twice", name(r, l), mine & m.values[i]);
        mine = s.reduce ? mine | m.values[i] : m.values[i];
      }
      join(lane.known, m.known);
      mail_.erase(it);
    }
    ++lane.known[me.first_lane + l];
    if (me.waits) lane.ends.push_back(lane.known);
    ++lane.step;
    lane.begun = false;
    return true;
  }

  bool inside(Span s) const { return s.length >= 0 && s.begin >= 0 && s.begin + s.length <= c_.elements; }

  std::string name(int r, std::size_t l) {
    return fmt::format("rank {} (phase {}, lane {}, step {})", r, at(r).phase, l, at(r).lanes[l].step);
  }

  template <class... Args>
  bool fail(fmt::format_string<Args...> text, Args&&... args) {
    fault_ = fmt::format(text, std::forward<Args>(args)...);
    return false;
  }

  const CheckedCollective& c_;
  Rng rng_;
  std::vector<RankState> ranks_;
  std::map<std::tuple<int, int, int, std::int64_t>, Message> mail_;  // (phase, receiver, lane, step)
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

CheckedCollective checked(const Schedule& schedule, std::int64_t elements) {
  const auto [op, span] = std::visit(
      [](const auto& s) {
        CollectiveOp its_op = CollectiveOp::Allreduce;
        if constexpr (requires { s.op; }) its_op = s.op;
        return std::pair{its_op, s.buffer};
      },
      schedule.variant());
  const int n = schedule.members();
  LOCKSTEP_EXPECTS(span.begin >= 0 && span.begin + span.length <= elements);
  CheckedCollective c;
  c.world = n;
  c.phases = 1;
  c.elements = elements;
  c.takes_part = [](int, int) { return true; };
  c.lanes = [=](int, int r) { return schedule.lanes(r); };
  c.steps = [=](int, int r, int l) { return schedule.steps(r, l); };
  c.step = [=](int, int r, int l, std::int64_t i) { return schedule.step(r, l, i); };
  c.expected = [n, op = op, span = span](int r, std::int64_t e) -> Mask {
    if (e < span.begin || e >= span.begin + span.length) return Mask{1} << r;
    const Mask all = n == 64 ? ~Mask{0} : (Mask{1} << n) - 1;
    const auto owned_by = [&](int member) {
      const Span own = part(span, member, n);
      return e >= own.begin && e < own.begin + own.length;
    };
    switch (op) {
      case CollectiveOp::Allreduce: return all;
      case CollectiveOp::ReduceScatter: return owned_by(r) ? all : 0;
      case CollectiveOp::Reduce: return r == 0 ? all : 0;
      case CollectiveOp::Broadcast: return 1;
      case CollectiveOp::AllGather: break;
    }
    int owner = 0;
    while (!owned_by(owner)) ++owner;
    return Mask{1} << owner;
  };
  return c;
}

std::optional<std::string> check(const CheckedCollective& collective, std::uint64_t seed) {
  LOCKSTEP_EXPECTS(collective.world >= 1 && collective.world <= 64);
  return Execution(collective, seed).run();
}

std::optional<std::string> check(const CollectivePlan& plan, std::uint64_t seed) { return check(checked(plan), seed); }

}  // namespace lockstep
