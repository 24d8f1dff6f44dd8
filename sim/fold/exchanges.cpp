#include "sim/fold/exchanges.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <span>
#include <unordered_map>

#include "core/base/digest.hpp"
#include "core/base/error.hpp"
#include "sim/fold/group_schedules.hpp"

namespace lockstep::sim {

namespace {

constexpr double kNever = std::numeric_limits<double>::infinity();
constexpr std::int32_t kNone = -1, kMany = -2;

using Links = std::span<const std::int32_t>;

void note(std::int32_t& only, std::int32_t seen) {
  if (only == kNone) only = seen;
  if (only != seen) only = kMany;
}

/// What all ranks do, before twins are found.
struct Messages {
  std::vector<std::int64_t> first;  // by rank
  std::vector<std::int32_t> from;   // by place in steps: the rank
  std::vector<std::int32_t> to;     // the rank that its message goes to
  std::vector<Exchanges::Step> steps;
  std::vector<Links> routes;
};

/// By link: whether it never binds.
std::vector<char> never_binding(const Fabric& fabric, const Messages& m) {
  const auto& links = fabric.links();
  std::vector<std::int32_t> before(links.size(), kNone), behind(links.size(), kNone), user(links.size(), kNone);
  for (std::size_t i = 0; i < m.routes.size(); ++i) {
    const Links route = m.routes[i];
    for (std::size_t k = 0; k < route.size(); ++k) {
      note(before[at(route[k])], k > 0 ? route[k - 1] : kMany);
      note(behind[at(route[k])], k + 1 < route.size() ? route[k + 1] : kMany);
      note(user[at(route[k])], m.from[i]);
    }
  }
  std::vector<char> out(links.size(), 0);
  for (std::size_t l = 0; l < links.size(); ++l) out[l] = user[l] >= 0;
  for (std::size_t l = 0; l < links.size(); ++l) {
    for (const std::int32_t other : {before[l], behind[l]})
      out[l] = out[l] || (other >= 0 && !out[at(other)] && links[at(other)].capacity <= links[l].capacity);
  }
  return out;
}

Messages messages_of(Fabric& fabric, const EngineSettings& settings, const CollectivePlan& plan, const Phase& phase,
                     const ProtocolSpec& protocol) {
  CollectivePlan even = plan;  // long enough that nothing is cut unevenly
  even.elements = std::int64_t{plan.grid.size()} << 20;
  const GroupSchedules groups(even, phase);
  Messages m;
  m.first.push_back(0);
  for (int r = 0; r < plan.grid.size(); ++r)
    m.first.push_back(m.first.back() + (groups.takes_part(r) ? groups.of(r).steps(groups.member(r), 0) : 0));
  const std::size_t count = at(m.first.back());
  m.from.resize(count);
  m.to.resize(count);
  m.steps.resize(count);
  m.routes.resize(count);
  for (int r = 0; r < plan.grid.size(); ++r) {
    for (std::int64_t i = m.first[at(r)]; i < m.first[at(r) + 1]; ++i) {
      const ScheduleStep step = groups.of(r).step(groups.member(r), 0, i - m.first[at(r)]);
      const auto whole = static_cast<double>(groups.length(r));
      Exchanges::Step& s = m.steps[at(i)];
      m.from[at(i)] = r;
      s.receives = step.receive_from >= 0;
      s.sends = step.send_to >= 0;
      if (whole > 0) {
        s.added = step.reduce ? static_cast<double>(step.receive.length) / whole : 0;
        s.sent = static_cast<double>(step.send.length) / whole;
      }
      if (!s.sends) continue;
      const int peer = groups.peer(r, step.send_to);
      const Route& route = fabric.route(settings.gpu_of_rank[at(r)], settings.gpu_of_rank[at(peer)]);
      const MessageCost cost = message_cost(settings.library, protocol, phase, route);
      s.cap = cost.cap.bytes_per_second();
      for (const std::int32_t l : route.links)
        s.cap = std::min(s.cap, fabric.links()[at(l)].capacity.bytes_per_second());
      s.efficiency = cost.efficiency;
      s.latency = cost.latency.seconds();
      s.arrives = m.first[at(peer)] + step.send_step;
      m.to[at(i)] = peer;
      m.routes[at(i)] = route.links;
    }
  }
  return m;
}

/// Colours of ranks: equal for twins. Refined like those of exact_fold(), but that twins cross the same links, not just links of one class.
std::vector<std::uint64_t> colours_of(const Messages& m, const std::vector<char>& never_bind) {
  constexpr double kResolution = 1 << 20;  // shares of a buffer that are cut unevenly are equal
  std::vector<std::uint64_t> colour(m.first.size() - 1);
  for (std::size_t r = 0; r < colour.size(); ++r) {
    Digest d;
    for (std::int64_t i = m.first[r]; i < m.first[r + 1]; ++i) {
      const Exchanges::Step& s = m.steps[at(i)];
      d.add(static_cast<std::uint64_t>(s.sends | s.receives << 1));
      d.add(static_cast<std::uint64_t>(std::llround(s.sent * kResolution)));
      d.add(static_cast<std::uint64_t>(s.cap));
      if (s.sends) d.add(static_cast<std::uint64_t>(s.arrives - m.first[at(m.to[at(i)])]));
      d.add(static_cast<std::uint64_t>(std::llround(s.latency * 1e12)));
      for (const std::int32_t l : m.routes[at(i)]) {
        if (!never_bind[at(l)]) d.add(static_cast<std::uint64_t>(l));
      }
    }
    colour[r] = d.value();
  }
  const auto distinct = [&] {
    std::vector<std::uint64_t> sorted = colour;
    std::sort(sorted.begin(), sorted.end());
    return std::unique(sorted.begin(), sorted.end()) - sorted.begin();
  };
  for (auto before = distinct();;) {
    std::vector<Digest> next(colour.size());
    for (std::size_t r = 0; r < colour.size(); ++r) next[r].add(colour[r]);
    for (std::size_t i = 0; i < m.steps.size(); ++i) {
      if (m.steps[i].sends) next[at(m.from[i])].add(colour[at(m.to[i])]);
    }
    // In the order of the steps that receive: what is sent first may arrive later.
    std::vector<std::int32_t> sender(m.steps.size(), kNone);
    for (std::size_t i = 0; i < m.steps.size(); ++i) {
      if (m.steps[i].sends) sender[at(m.steps[i].arrives)] = m.from[i];
    }
    for (std::size_t i = 0; i < m.steps.size(); ++i) {
      if (sender[i] >= 0) next[at(m.from[i])].add(colour[at(sender[i])]);
    }
    for (std::size_t r = 0; r < colour.size(); ++r) colour[r] = next[r].value();
    const auto now = distinct();
    if (now == before) return colour;
    before = now;
  }
}

}  // namespace

Exchanges exchanges_of(Fabric& fabric, const EngineSettings& settings, const CollectivePlan& plan, const Phase& phase,
                       const ProtocolSpec& protocol) {
  const Messages m = messages_of(fabric, settings, plan, phase, protocol);
  const std::vector<char> never_bind = never_binding(fabric, m);
  const std::vector<std::uint64_t> colours = colours_of(m, never_bind);
  Exchanges e;
  std::unordered_map<std::uint64_t, int> of_colour;
  for (std::size_t r = 0; r < colours.size(); ++r) {
    if (m.first[r] == m.first[r + 1]) {
      e.sender.push_back(kNone);
      continue;
    }
    const auto [it, fresh] = of_colour.emplace(colours[r], static_cast<int>(e.rank.size()));
    if (fresh) {
      e.first.push_back(static_cast<std::int64_t>(e.steps.size()));
      e.rank.push_back(static_cast<int>(r));
      e.twins.push_back(0);
      e.steps.insert(e.steps.end(), m.steps.begin() + m.first[r], m.steps.begin() + m.first[r + 1]);
    }
    e.sender.push_back(it->second);
    ++e.twins[at(it->second)];
  }
  e.first.push_back(static_cast<std::int64_t>(e.steps.size()));
  std::vector<std::int32_t> number(fabric.links().size(), kNone);
  for (std::size_t s = 0; s < e.rank.size(); ++s) {
    for (std::int64_t i = e.first[s]; i < e.first[s + 1]; ++i) {
      Exchanges::Step& step = e.steps[at(i)];
      const std::size_t original = at(m.first[at(e.rank[s])] + i - e.first[s]);
      step.first = static_cast<std::int32_t>(e.links.size());
      for (const std::int32_t l : m.routes[original]) {
        if (never_bind[at(l)]) continue;
        if (number[at(l)] < 0) {
          number[at(l)] = static_cast<std::int32_t>(e.capacities.size());
          e.capacities.push_back(fabric.links()[at(l)].capacity.bytes_per_second());
        }
        e.links.push_back(number[at(l)]);
      }
      step.last = static_cast<std::int32_t>(e.links.size());
      if (!step.sends) continue;
      const int peer = m.to[original];
      step.to = e.sender[at(peer)];
      step.arrives += e.first[at(step.to)] - m.first[at(peer)];
    }
  }
  return e;
}

namespace {

// In which all messages under way would leave: many for small worlds, but all senders together are looked at about kVisits times.
constexpr std::size_t kFewestStrides = 8, kVisits = 200'000;

/// All times in seconds from the first entry.
class ExchangeSimulation {
 public:
  ExchangeSimulation(const EngineSettings& settings, const CollectivePlan& plan, const Phase& phase,
                     const Exchanges& exchanges)
      : e_(exchanges),
        senders_(exchanges.rank.size()),
        arrivals_(exchanges.steps.size(), kNever),
        load_(exchanges.capacities.size()),
        share_(exchanges.capacities.size()),
        strides_(std::max(kFewestStrides, kVisits / std::max<std::size_t>(1, exchanges.steps.size()))) {
    const GroupSchedules groups(plan, phase);
    const double reduce = settings.library.reduce.value.bytes_per_second();
    for (std::size_t s = 0; s < senders_.size(); ++s) {
      senders_[s].bytes = static_cast<double>(groups.length(e_.rank[s])) * plan.element_bytes;
      senders_[s].to_add = reduce > 0 ? senders_[s].bytes / reduce : 0;
      senders_[s].step = e_.first[s];
    }
  }

  void enters(std::size_t sender, double when) { senders_[sender].time = std::max(senders_[sender].time, when); }

  double run() {
    double now = 0;
    while (now != kNever) {
      for (std::size_t s = 0; s < senders_.size(); ++s) {
        if (!senders_[s].sending || senders_[s].left <= now) advance(s, now);
      }
      while (!waiting_.empty()) {
        const std::int32_t s = waiting_.back();
        waiting_.pop_back();
        advance(at(s), now);
      }
      now = next_moment(now);
    }
    for (std::size_t s = 0; s < senders_.size(); ++s) LOCKSTEP_EXPECTS(senders_[s].step == e_.first[s + 1]);
    return end_;
  }

 private:
  struct Sender {
    std::int64_t step = 0;  // place in e_.steps
    double begin = 0;       // of its step
    double time =
        0;  // begun: until when its message has been followed, or when it has left; else when the step may begin
    double remaining = 0, rate = 0, left = 0;
    double bytes = 0, to_add = 0;  // of its group's buffer, and the seconds to add it
    bool begun = false, sending = false;
  };

  /// Gives every message under way its rate, and chooses the stride.
  double next_moment(double now) {
    for (std::size_t l = 0; l < load_.size(); ++l) share_[l] = e_.capacities[l] / load_[l];
    moments_.clear();
    for (std::size_t s = 0; s < senders_.size(); ++s) {
      Sender& me = senders_[s];
      if (me.sending) {
        const Exchanges::Step& step = e_.steps[at(me.step)];
        double rate = step.cap;
        for (std::int32_t i = step.first; i < step.last; ++i) rate = std::min(rate, share_[at(e_.links[at(i)])]);
        if (rate != me.rate) {
          const double before = std::max(me.time, last_moment_);
          me.remaining -= (before - me.time) * me.rate + (now - before) * (me.rate + rate) / 2;
          me.remaining = std::max(0.0, me.remaining);
          me.time = now;
          me.rate = rate;
          me.left = now + me.remaining / rate;
        }
        moments_.push_back(me.left);
      } else if (!me.begun && me.step < e_.first[s + 1]) {
        moments_.push_back(me.time);
      }
    }
    last_moment_ = now;
    if (moments_.empty()) return kNever;
    const auto nth = moments_.begin() + static_cast<std::ptrdiff_t>(moments_.size() / strides_);
    std::nth_element(moments_.begin(), nth, moments_.end());
    return *nth;
  }

  /// What a sender does until `now`, as far as it has received what it needs.
  void advance(std::size_t s, double now) {
    Sender& me = senders_[s];
    while (me.step < e_.first[s + 1]) {
      const Exchanges::Step& step = e_.steps[at(me.step)];
      if (!me.begun && !begin(me, e_.twins[s], step, now)) return;
      if (me.sending && !send(me, e_.twins[s], step, now)) return;
      if (step.receives) {
        const double arrival = arrivals_[at(me.step)];
        if (arrival == kNever) return;
        me.time = std::max(me.time, std::max(me.begin, arrival) + step.added * me.to_add);
      }
      me.begun = false;
      ++me.step;
      end_ = std::max(end_, me.time);
    }
  }

  bool begin(Sender& me, int twins, const Exchanges::Step& step, double now) {
    if (me.time > now) return false;
    me.begun = true;
    me.begin = me.time;
    if (!step.sends) return true;
    me.sending = true;
    me.remaining = step.sent * me.bytes / step.efficiency;
    me.rate = step.cap;
    for (std::int32_t i = step.first; i < step.last; ++i) {
      const std::size_t l = at(e_.links[at(i)]);
      load_[l] += twins;
      me.rate = std::min(me.rate, e_.capacities[l] / load_[l]);
    }
    me.left = me.time + me.remaining / me.rate;
    return true;
  }

  bool send(Sender& me, int twins, const Exchanges::Step& step, double now) {
    if (me.left > now) return false;
    me.time = me.left;
    me.sending = false;
    for (std::int32_t i = step.first; i < step.last; ++i) load_[at(e_.links[at(i)])] -= twins;
    arrivals_[at(step.arrives)] = me.left + step.latency;
    waiting_.push_back(step.to);
    return true;
  }

  const Exchanges& e_;
  std::vector<Sender> senders_;
  std::vector<double> arrivals_;       // by place in steps
  std::vector<std::int32_t> load_;     // by link: messages under way
  std::vector<double> share_;          // by link: of each of them
  std::vector<std::int32_t> waiting_;  // senders that have received something
  std::vector<double> moments_;
  std::size_t strides_;
  double end_ = 0;
  double last_moment_ = 0;
};

}  // namespace

Time exchange_time(const EngineSettings& settings, const CollectivePlan& plan, const Phase& phase,
                   const Exchanges& exchanges, const Leads& leads) {
  ExchangeSimulation simulation(settings, plan, phase, exchanges);
  Time last;
  if (!leads.empty()) last = *std::max_element(leads.begin(), leads.end());
  for (std::size_t r = 0; r < leads.size(); ++r) {
    if (exchanges.sender[r] >= 0) simulation.enters(at(exchanges.sender[r]), (last - leads[r]).seconds());
  }
  return Time::seconds(simulation.run()) - last;
}

}  // namespace lockstep::sim
