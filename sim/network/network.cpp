#include "sim/network/network.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "core/base/error.hpp"

namespace lockstep::sim {
namespace {

// Sums of static caps carry rounding errors; beyond this distance from the capacity they cannot change the verdict.
constexpr double kDoubt = 1e-6;
// A link may be overrun, and a rate be left unchanged, by this relative amount: far below what a picosecond can show.
constexpr double kSame = 1e-12;
constexpr double kWas = 1e-9;
// A change that is still spreading after so many rounds is solved with all flows that it can reach at all.
constexpr int kLocalRounds = 12;
constexpr double kLongest = 9.2e6;  // seconds; Time ends at 9.22e6

std::size_t at(std::int32_t i) { return static_cast<std::size_t>(i); }

}  // namespace

Network::Network(EventQueue& queue, std::vector<Link> links, std::uint32_t event_kind)
    : queue_(queue), links_(std::move(links)), kind_(event_kind), states_(links_.size()) {
  for (std::size_t l = 0; l < links_.size(); ++l) {
    states_[l].capacity = links_[l].capacity.bytes_per_second();
    LOCKSTEP_EXPECTS(states_[l].capacity >= 0);
  }
}

std::int32_t Network::new_slot() {
  if (free_.empty()) {
    free_.push_back(static_cast<std::int32_t>(flows_.size()));
    flows_.emplace_back();
  }
  const std::int32_t slot = free_.back();
  free_.pop_back();
  ++active_;
  return slot;
}

void Network::free(std::int32_t slot) {
  Flow& flow = flows_[at(slot)];
  flow.stage = Stage::Free;
  ++flow.version;
  free_.push_back(slot);
  --active_;
}

void Network::tell(Time when, std::int32_t slot, Says what) {
  queue_.push(when, kind_, static_cast<std::uint32_t>(slot), std::uint64_t{flows_[at(slot)].version} << 2 | what);
}

void Network::tell_end(std::int32_t slot) {
  flows_[at(slot)].event = flows_[at(slot)].leaves;
  tell(flows_[at(slot)].leaves, slot, kEnded);
}

/// True if a flow crosses the link `before` ours. What counts several times does not: its counts differ from link to link.
bool Network::comes_through(const LinkState& link, const Flow& flow, std::int32_t place) const {
  return place > 0 && !flow.counts && flow.links[place - 1] == link.before;
}

void Network::refresh_tight(LinkState& link) const {
  // A static cap never exceeds the capacity. A link that is shaded has no flow that another link does not have.
  if (link.flows <= 1 || link.through == link.flows || std::isinf(link.capacity)) {
    link.tight = false;
    return;
  }
  if (std::abs(link.demand - link.capacity) <= kDoubt * (link.demand + link.capacity)) {
    link.demand = 0;
    for (std::int32_t m = link.head; m != kNone; m = members_[at(m)].next) {
      const Member& member = members_[at(m)];
      for (std::int32_t k = 0; k < member.count; ++k) link.demand += flows_[at(member.flow)].static_cap;
    }
  }
  link.tight = link.demand > link.capacity * (1 + kSame);
}

void Network::mark_dirty(std::int32_t link) {
  if (states_[at(link)].dirty) return;
  states_[at(link)].dirty = true;
  dirty_.push_back(link);
  schedule_settle();
}

void Network::schedule_settle() {
  if (settle_pending_) return;
  settle_pending_ = true;
  queue_.push_last(kind_, kSettle, ++settle_serial_);
}

void Network::add(std::int32_t slot, std::span<const std::int32_t> links, double bytes,
                  std::span<const std::int32_t> counts) {
  LOCKSTEP_EXPECTS(bytes >= 0);
  LOCKSTEP_EXPECTS(counts.empty() || counts.size() == links.size());
  Flow& flow = flows_[at(slot)];
  flow.remaining = bytes;
  flow.rate = 0;
  flow.leaves = flow.event = Time::never();
  flow.updated = queue_.now();
  flow.links = links.data();
  flow.counts = counts.empty() ? nullptr : counts.data();
  flow.link_count = bytes > 0 ? static_cast<std::int32_t>(links.size()) : 0;  // an empty flow takes no share
  ++flow.version;
}

/// True if all its links are idle. Notes what they will carry and finds the static cap.
bool Network::survey(Flow& flow, std::span<const std::int32_t> links, double cap) {
  const Time now = queue_.now();
  bool idle = true;
  for (std::size_t i = 0; i < links.size(); ++i) {
    LinkState& link = states_[at(links[i])];
    const std::int32_t count = flow.counts ? flow.counts[i] : 1;
    link.use.bytes += flow.remaining * count;
    link.use.flows += count;
    cap = std::min(cap, link.capacity);
    idle = idle && link.flows == 0 && link.alone_until <= now && count == 1;
  }
  flow.static_cap = cap;
  return idle;
}

void Network::start(std::span<const std::int32_t> links, double bytes, Bandwidth cap, std::uint64_t token,
                    std::span<const std::int32_t> counts) {
  LOCKSTEP_EXPECTS(cap.bytes_per_second() >= 0);
  const std::int32_t slot = new_slot();
  add(slot, links, bytes, counts);
  Flow& flow = flows_[at(slot)];
  flow.token = token;
  flow.message = false;
  survey(flow, links, cap.bytes_per_second());
  if (!enter_lists(slot)) set_rate(slot, bytes > 0 ? flow.static_cap : std::numeric_limits<double>::infinity());
}

std::int32_t Network::send(std::span<const std::int32_t> links, double bytes, Bandwidth cap, Time latency,
                           std::span<const std::int32_t> counts) {
  LOCKSTEP_EXPECTS(cap.bytes_per_second() >= 0);
  const std::int32_t slot = new_slot();
  add(slot, links, bytes, counts);
  Flow& flow = flows_[at(slot)];
  flow.message = true;
  flow.latency = latency;
  const bool idle = survey(flow, links, cap.bytes_per_second());
  if (bytes == 0 || (idle && flow.static_cap > 0)) {
    go_alone(slot);
    tell(flow.leaves + latency, slot, kHasArrived);
  } else if (!enter_lists(slot)) {
    set_rate(slot, flow.static_cap);
  }
  return slot;
}

void Network::go_alone(std::int32_t slot) {
  Flow& flow = flows_[at(slot)];
  flow.stage = Stage::Alone;
  flow.rate = flow.static_cap;
  flow.leaves = flow.remaining > 0 ? queue_.now() + duration(flow) : queue_.now();
  for (std::int32_t i = 0; i < flow.link_count; ++i) {
    LinkState& link = states_[at(flow.links[i])];
    link.alone_until = flow.leaves;
    link.alone = slot;
  }
}

bool Network::await_left(std::int32_t number) {
  const Flow& flow = flows_[at(number)];
  if (flow.stage == Stage::Travelling) return true;
  if (flow.stage == Stage::Sharing) return false;
  LOCKSTEP_EXPECTS(flow.stage == Stage::Alone);
  if (flow.leaves <= queue_.now()) return true;
  tell(flow.leaves, number, kLeft);
  return false;
}

/// A message that was alone is no longer. It has no event then: it gets one once its neighbour is in the lists too.
void Network::share(std::int32_t slot) {
  Flow& flow = flows_[at(slot)];
  for (std::int32_t i = 0; i < flow.link_count; ++i) states_[at(flow.links[i])].alone_until = Time::zero();
  ++flow.version;
  enter_lists(slot);
  shared_.push_back(slot);
}

/// True if another flow may hold it back: then its rate will be solved.
bool Network::enter_lists(std::int32_t slot) {
  const std::int32_t count = flows_[at(slot)].link_count;
  const std::size_t first = shared_.size();
  for (std::int32_t i = 0; i < count; ++i) {
    if (const LinkState& link = states_[at(flows_[at(slot)].links[i])]; link.alone_until > queue_.now())
      share(link.alone);
  }
  Flow& flow = flows_[at(slot)];
  if (flow.room < count) {
    flow.room = (count + 7) / 8 * 8;
    flow.first_member = static_cast<std::int32_t>(members_.size());
    members_.resize(members_.size() + at(flow.room));
  }
  flow.stage = Stage::Sharing;
  ++sharing_;
  bool coupled = false;
  for (std::int32_t i = 0; i < count; ++i) {
    LinkState& link = states_[at(flow.links[i])];
    const std::int32_t m = flow.first_member + i;
    const std::int32_t stands_for = flow.counts ? flow.counts[i] : 1;
    members_[at(m)] = {slot, link.head, kNone, stands_for};
    if (link.head != kNone) {
      members_[at(link.head)].previous = m;
    } else {
      const std::int32_t before = i > 0 ? flow.links[i - 1] : kNone;
      link.before = before != kNone && states_[at(before)].capacity <= link.capacity ? before : kNone;
    }
    link.head = m;
    link.flows += stands_for;
    link.through += comes_through(link, flow, i);
    for (std::int32_t k = 0; k < stands_for; ++k) link.demand += flow.static_cap;
    refresh_tight(link);
    if (link.tight) {
      coupled = true;
      mark_dirty(flow.links[i]);
    }
  }
  // Those whose links are dirty now get their event with their rate, when this instant is over.
  while (shared_.size() > first) {
    const Flow& other = flows_[at(shared_.back())];
    const bool solved = std::any_of(other.links, other.links + other.link_count,
                                    [this](std::int32_t l) { return states_[at(l)].tight; });
    if (!solved) tell_end(shared_.back());
    shared_.pop_back();
  }
  return coupled;
}

Time Network::duration(const Flow& flow) const {
  const double seconds = flow.remaining / flow.rate;
  if (!(seconds < kLongest)) {
    throw ConfigError("network", flow.link_count > 0 ? links_[at(flow.links[0])].name : "cap",
                      "a transfer would take longer than 106 days; raise the rate");
  }
  return Time::seconds(seconds);
}

void Network::set_rate(std::int32_t slot, double rate) {
  Flow& flow = flows_[at(slot)];
  const Time now = queue_.now();
  if (flow.updated != now) {
    flow.remaining = std::max(0.0, flow.remaining - flow.rate * (now - flow.updated).seconds());
    flow.updated = now;
  }
  flow.rate = rate;
  ++rate_changes_;
  flow.leaves = rate > 0 ? now + duration(flow) : Time::never();
  if (flow.leaves < flow.event) {  // an event that comes too early asks again
    ++flow.version;
    tell_end(slot);
  }
}

bool Network::finish(const Event& event, std::uint64_t& token) {
  if (event.a == kSettle) {
    if (settle_pending_ && event.b == settle_serial_) settle();
    return false;
  }
  Flow& flow = flows_[event.a];
  if (flow.version != event.b >> 2) return false;
  const auto slot = static_cast<std::int32_t>(event.a);
  token = event.a;
  switch (event.b & 3) {
    case kHasArrived:
      token |= kArrived;
      free(slot);
      break;
    case kLeft: break;
    default:
      if (event.time < flow.leaves) {  // it was slowed down meanwhile
        flow.event = Time::never();
        if (flow.leaves != Time::never()) tell_end(slot);
        return false;
      }
      leave_lists(slot);
      if (flow.message) {
        flow.stage = Stage::Travelling;
        ++flow.version;
        tell(event.time + flow.latency, slot, kHasArrived);
      } else {
        token = flow.token;
        free(slot);
      }
      break;
  }
  return true;
}

void Network::leave_lists(std::int32_t slot) {
  const Flow& flow = flows_[at(slot)];
  for (std::int32_t i = 0; i < flow.link_count; ++i) {
    const std::int32_t l = flow.links[i];
    LinkState& link = states_[at(l)];
    const Member& member = members_[at(flow.first_member + i)];
    if (member.next != kNone) members_[at(member.next)].previous = member.previous;
    if (member.previous != kNone) {
      members_[at(member.previous)].next = member.next;
    } else {
      link.head = member.next;
    }
    const bool coupled = link.tight;
    link.flows -= member.count;
    link.through -= comes_through(link, flow, i);
    if (link.flows == 0) {
      link.demand = 0;
      link.tight = false;
    } else {
      for (std::int32_t k = 0; k < member.count; ++k) link.demand -= flow.static_cap;
      refresh_tight(link);
      if (coupled) mark_dirty(l);
    }
  }
  if (--sharing_ == 0) {
    for (std::int32_t l : dirty_) states_[at(l)].dirty = false;
    dirty_.clear();
    settle_pending_ = false;
  }
}

void Network::settle() {
  settle_pending_ = false;
  for (std::size_t i = 0; i < dirty_.size(); ++i) {
    if (states_[at(dirty_[i])].dirty) solve_around(dirty_[i]);
  }
  dirty_.clear();
}

void Network::include(std::int32_t slot) {
  Flow& flow = flows_[at(slot)];
  if (flow.seen == stamp_) return;
  flow.seen = stamp_;
  flow.local = kNone;  // not solved yet
  region_.push_back(slot);
}

void Network::include_all(std::int32_t link) {
  for (std::int32_t m = states_[at(link)].head; m != kNone; m = members_[at(m)].next) include(members_[at(m)].flow);
}

void Network::enter(std::int32_t index, bool whole) {
  const Flow& flow = flows_[at(region_[at(index)])];
  const std::int32_t* const links = flow.links;
  const std::int32_t* const counts = flow.counts;
  small_ = small_ && index < SmallMaxMin::kFlows && !counts;
  const std::uint64_t bit = small_ ? std::uint64_t{1} << index : 0;
  for (std::int32_t k = 0, count = flow.link_count; k < count; ++k) {
    LinkState& link = states_[at(links[k])];
    if (link.dirty || (whole && link.tight)) {
      include_all(links[k]);
      link.dirty = false;
    }
    if (!link.tight) continue;
    if (link.seen != stamp_) {
      link.seen = stamp_;
      link.inside = 0;
      link.who = 0;
      border_.push_back(links[k]);
    }
    link.inside += counts ? counts[k] : 1;
    link.who |= bit;
  }
}

/// Partition refinement: the flow splits every set of links into those that it crosses (with this or that count) and the others.
std::int32_t Network::set_crossed_by(std::int32_t set, std::int32_t flow, std::int32_t count) {
  if (sets_[at(set)].split_by != flow) {
    sets_[at(set)].split_by = flow;
    sets_[at(set)].crossed = kNone;
  }
  for (std::int32_t s = sets_[at(set)].crossed; s != kNone; s = sets_[at(s)].sibling) {
    if (sets_[at(s)].count == count) return s;
  }
  const auto fresh = static_cast<std::int32_t>(sets_.size());
  sets_.push_back({set, flow, count, sets_[at(set)].crossed});
  sets_[at(set)].crossed = fresh;
  return fresh;
}

void Network::solve_around(std::int32_t dirty_link) {
  states_[at(dirty_link)].dirty = false;
  if (states_[at(dirty_link)].head == kNone) return;
  if (++stamp_ == 0) {  // after four thousand million regions old stamps could be taken for new ones
    for (Flow& flow : flows_) flow.seen = 0;
    for (LinkState& link : states_) link.seen = 0;
    stamp_ = 1;
  }
  region_.clear();
  border_.clear();
  small_ = true;
  include_all(dirty_link);
  std::size_t entered = 0;
  for (int round = 0;; ++round) {
    const bool whole = round >= kLocalRounds;
    if (round == kLocalRounds) {
      for (std::int32_t l : border_) include_all(l);
    }
    for (; entered < region_.size(); ++entered) enter(static_cast<std::int32_t>(entered), whole);
    solve_region();
    if (!grow_region()) break;
  }
  for (std::int32_t slot : region_) {
    const Flow& flow = flows_[at(slot)];
    const double rate = border_.empty() ? flow.static_cap : solved_rate(flow);
    if (std::abs(rate - flow.rate) > kSame * flow.rate || (flow.event == Time::never() && rate > 0))
      set_rate(slot, rate);
  }
}

void Network::solve_region() {
  closed_ = true;
  if (border_.empty()) return;
  if (small_) {
    solve_small_region();
  } else {
    solve_large_region();
  }
  ++solves_;
  solved_flows_ += region_.size();
}

/// What the flows outside the region have of a link.
double Network::held_outside(const LinkState& link) const {
  double held = 0;
  for (std::int32_t m = link.head; m != kNone; m = members_[at(m)].next) {
    if (const Flow& flow = flows_[at(members_[at(m)].flow)]; flow.seen != stamp_)
      held += flow.rate * members_[at(m)].count;
  }
  return held;
}

void Network::solve_small_region() {
  small_solver_.clear();
  for (std::int32_t slot : region_) flows_[at(slot)].local = small_solver_.add_flow(flows_[at(slot)].static_cap);
  for (std::int32_t l : border_) {
    LinkState& link = states_[at(l)];
    if (link.inside == link.flows) {
      small_solver_.add_link(link.capacity, link.who);
    } else {
      closed_ = false;
      link.local = small_solver_.add_row(std::max(0.0, link.capacity - held_outside(link)), link.who);
    }
  }
  small_solver_.solve();
}

void Network::solve_large_region() {
  sets_.assign(1, {});
  for (std::int32_t l : border_) states_[at(l)].set = 0;
  for (std::size_t i = 0; i < region_.size(); ++i) {
    const Flow& flow = flows_[at(region_[i])];
    for (std::int32_t k = 0; k < flow.link_count; ++k) {
      LinkState& link = states_[at(flow.links[k])];
      if (link.tight)
        link.set = set_crossed_by(link.set, static_cast<std::int32_t>(i), flow.counts ? flow.counts[k] : 1);
    }
  }
  solver_.clear();
  for (std::int32_t slot : region_) flows_[at(slot)].local = solver_.add_flow(flows_[at(slot)].static_cap);
  for (std::int32_t l : border_) {
    const LinkState& link = states_[at(l)];
    if (link.inside != link.flows) continue;
    std::int32_t& narrowest = sets_[at(link.set)].narrowest;
    if (narrowest == kNone || link.capacity < states_[at(narrowest)].capacity) narrowest = l;
  }
  for (std::int32_t l : border_) {
    LinkState& link = states_[at(l)];
    if (link.inside == link.flows) {
      if (l != sets_[at(link.set)].narrowest) continue;
      solver_.add_link(link.capacity);
    } else {
      closed_ = false;
      link.local = solver_.add_link(std::max(0.0, link.capacity - held_outside(link)));
    }
    for (std::int32_t s = link.set; s != 0; s = sets_[at(s)].without)
      solver_.cross(sets_[at(s)].flow, sets_[at(s)].count);
  }
  solver_.solve();
}

bool Network::grow_region() {
  if (closed_) return false;
  const std::size_t before = region_.size();
  for (std::int32_t l : border_) {
    const LinkState& link = states_[at(l)];
    if (link.inside == link.flows) continue;
    double old_load = 0, old_fastest = 0, load = 0, fastest = 0;
    for (std::int32_t m = link.head; m != kNone; m = members_[at(m)].next) {
      const Flow& flow = flows_[at(members_[at(m)].flow)];
      const bool inside = flow.seen == stamp_;
      const double rate = inside && flow.local != kNone ? solved_rate(flow) : flow.rate;
      const std::int32_t count = members_[at(m)].count;
      old_load += flow.rate * count;
      old_fastest = std::max(old_fastest, flow.rate);
      load += rate * count;
      fastest = std::max(fastest, rate);
    }
    // Generous in what was a bottleneck, strict in what still is: a doubtful flow is solved again rather than
    // forgotten.
    const bool was_full = old_load >= link.capacity * (1 - kWas);
    const bool is_full = load >= link.capacity * (1 - kSame);
    const double share = small_ ? small_solver_.share(link.local) : solver_.share(link.local);
    for (std::int32_t m = link.head; m != kNone; m = members_[at(m)].next) {
      const std::int32_t slot = members_[at(m)].flow;
      const Flow& flow = flows_[at(slot)];
      if (flow.seen == stamp_) continue;
      const bool too_fast = flow.rate > share * (1 + kSame);
      const bool capped = flow.rate >= flow.static_cap * (1 - kSame);
      const bool held_here = was_full && flow.rate >= old_fastest * (1 - kWas);
      const bool still_held = is_full && flow.rate >= fastest * (1 - kSame);
      if (too_fast || (!capped && held_here && !still_held)) include(slot);
    }
  }
  return region_.size() > before;
}

double Network::rate_of(std::uint64_t token) const {
  for (const Flow& flow : flows_) {
    if (flow.stage == Stage::Sharing && !flow.message && flow.token == token) return flow.rate;
  }
  throw InternalError("no active flow has token " + std::to_string(token));
}

void Network::set_capacity(std::int32_t link, Bandwidth capacity) {
  LOCKSTEP_EXPECTS(active_ == 0 && capacity.bytes_per_second() >= 0);
  links_[at(link)].capacity = capacity;
  states_[at(link)].capacity = capacity.bytes_per_second();
}

}  // namespace lockstep::sim
