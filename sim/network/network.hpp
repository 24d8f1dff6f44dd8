// Flows over links, shared max-min fairly.
//
//   maximise the smallest rate, then the next, ... subject to  sum of rates of the flows on link l <= capacity(l)
//   and rate(f) <= cap(f).   (Bertsekas & Gallager, Data Networks, section 6.5: progressive filling)
//
// A flow is a fluid: it occupies all its links from start to finish (cut-through), so its time does not depend on the
// number of hops except through latency. Only the part of the network that a change can touch is recomputed:
//
//   static cap(f) = min(cap(f), capacities of its links);   a link is slack while the static caps of its flows sum to
//   at most its capacity. A slack link can bind in no allocation, so it couples nobody. A flow with slack links only
//   runs at its static cap: nothing is solved.
//
// Many links are narrow but never decide: whatever crosses them has come through a link that is no wider just before (the NIC behind
// its PCIe lanes, the port below the only cable that leads to it). Such a link is shaded. Its flows are flows of that link too, which
// would bind first; so it couples nobody either.
//
// An allocation is max-min fair exactly if every flow is at its cap or has a bottleneck: a full link on which no flow
// is faster (Bertsekas & Gallager, proposition 6.2 [from memory]). So a change is first solved among the flows of the
// links that it touched, all others held; then those are added that lost their bottleneck, or are faster than what they
// hold back, until there are none.
//
// Changes of one instant are solved together, by an event that comes after all others of that instant
// (EventQueue::push_last).
//
// A message is a flow whose last byte arrives some latency after it has left. Most messages meet nobody: all their links are
// idle when they start and nobody joins before they have left. Such a message is *alone*: it stands in no link's list, its
// links only remember until when it has them, and its arrival is its one event. Who starts on one of these links
// before that makes it an ordinary flow.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "core/base/units.hpp"
#include "sim/network/event_queue.hpp"
#include "sim/network/max_min.hpp"
#include "sim/network/small_max_min.hpp"

namespace lockstep::sim {

/// One direction of a cable (or of a bus, or of a copy engine).
struct Link {
  std::string name;
  Bandwidth capacity;
  Time latency;
};

/// Traffic that a link has been given; conservation tests read it.
struct LinkUse {
  double bytes = 0;
  std::int64_t flows = 0;
};

class Network {
 public:
  /// Events of this network carry `event_kind`; the owner of the queue passes every one of them to finish().
  Network(EventQueue& queue, std::vector<Link> links, std::uint32_t event_kind);

  /// Starts a flow now. `links`: indices, each at most once; must stay valid until the flow ends (routes are kept by
  /// their owner). Zero bytes end at once (still through the queue). `token` comes back when it ends. A flow with no
  /// links and no cap takes no time.
  ///
  /// A flow of S bytes whose rate B never changes ends exactly Time::seconds(S / B) after its start: rounded once, to
  /// the nearest picosecond. When the rate changes, what is left is kept as a double and only the new end is rounded.
  /// Flows started at one instant in another order get the same rates; flows that end at the same picosecond end in the
  /// order of their completion events. A flow over a link without capacity waits for ever. Throws ConfigError if it
  /// would take longer than Time can tell.
  ///
  /// `counts`, if given, one per link: the flow stands for that many equal flows there (a folded simulation); the link's
  /// capacity is shared, its use counted, as if each were there.
  void start(std::span<const std::int32_t> links, double bytes, Bandwidth cap, std::uint64_t token,
             std::span<const std::int32_t> counts = {});

  /// Starts a message now: a flow as above, whose last byte arrives `latency` >= 0 after it has left. Returns its number, which
  /// is its token too: finish() gives `number | kArrived` when it has arrived, and `number` alone when it has left,
  /// unless nobody else came near its links: then only if await_left() was asked. Numbers are small and used again
  /// after the arrival.
  /// `counts` as in start().
  std::int32_t send(std::span<const std::int32_t> links, double bytes, Bandwidth cap, Time latency,
                    std::span<const std::int32_t> counts = {});
  static constexpr std::uint64_t kArrived = std::uint64_t{1} << 32;
  /// True if the message has left. False: finish() will tell. Only between its send() and its arrival.
  bool await_left(std::int32_t number);

  /// Handles an event of `event_kind`. Returns true and the token if a flow has ended with it, or a message has left or arrived;
  /// false for outdated events, and for the event that solves the changes of an instant.
  bool finish(const Event& event, std::uint64_t& token);

  /// Solves now what has changed at this instant. The queue does it by itself; only who reads rates between events
  /// needs it.
  void settle();

  const std::vector<Link>& links() const { return links_; }
  const LinkUse& use(std::size_t link) const { return states_[link].use; }  ///< flows count from their start
  std::size_t active() const { return active_; }  ///< flows that have not ended, messages that have not arrived
  /// Rate of an active flow's token after the last settle(), for tests. O(active flows). Unknown token: InternalError.
  double rate_of(std::uint64_t token) const;
  void set_capacity(std::int32_t link, Bandwidth capacity);  ///< only while no flow is active

  std::uint64_t solves() const { return solves_; }              ///< max-min problems solved so far
  std::uint64_t solved_flows() const { return solved_flows_; }  ///< sum of their flows
  std::uint64_t rate_changes() const { return rate_changes_; }  ///< rates given to flows so far

 private:
  static constexpr std::int32_t kNone = -1;
  static constexpr std::uint32_t kSettle = 0xffffffffU;

  enum class Stage : std::uint8_t {
    Free,
    Alone,       ///< a message that has its links to itself, or has had them
    Sharing,     ///< in the lists of its links
    Travelling,  ///< a message that has left them
  };
  /// What an event of a flow says, in the low bits of Event::b; the others hold its version.
  enum Says : std::uint64_t { kEnded, kLeft, kHasArrived };

  struct alignas(64) Flow {     // what an event asks for comes first: often nothing else is looked at
    std::uint32_t version = 0;  ///< an event with another version is outdated
    std::int32_t link_count = 0;
    const std::int32_t* links = nullptr;
    Time leaves;   ///< at its present rate
    Time event;    ///< of its event that says kEnded: not after `leaves`; never() = there is none
    Time latency;  ///< of a message
    double static_cap = 0;
    std::int32_t first_member = 0;  ///< its block of `members_`
    std::int32_t room = 0;          ///< size of the block; kept when the slot is used again
    Stage stage = Stage::Free;
    bool message = false;

    double remaining = 0;  ///< bytes at `updated`
    double rate = 0;
    Time updated;
    std::uint64_t token = 0;
    std::uint32_t seen = 0;                ///< equal to `stamp_`: in the region
    std::int32_t local = 0;                ///< its index in the problem being solved
    const std::int32_t* counts = nullptr;  ///< by link; null: 1 everywhere
  };
  /// One flow on one link, in the link's list.
  struct Member {
    std::int32_t flow = kNone, next = kNone, previous = kNone;
    std::int32_t count = 1;  ///< equal flows that it stands for
  };
  struct LinkState {
    double capacity = 0;
    Time alone_until;  ///< until then it belongs to the message `alone`
    std::int32_t alone = kNone;
    std::int32_t flows = 0;  ///< in its list, by count
    LinkUse use;
    double demand = 0;  ///< sum of static caps of its flows
    std::int32_t head = kNone;
    std::uint32_t seen = 0;   ///< equal to `stamp_`: in the border
    std::int32_t inside = 0;  ///< of its flows, those in the region, by count
    std::uint64_t who = 0;    ///< the same as bits, by place in the region, of the first 64
    std::int32_t set = 0;     ///< in sets_: links with the same flows of the region
    std::int32_t local = 0;   ///< its row in the problem being solved, if some of its flows are outside
    std::int32_t before =
        kNone;  ///< a link no wider than this one that its first flow crosses just before it; kNone: none
    std::int32_t through = 0;  ///< of its flows, those that do so too
    bool tight = false;        ///< neither slack nor shaded
    bool dirty = false;
  };
  /// Links of the border that are crossed by the same flows of the region: the narrowest stands for all of them.
  struct LinkSet {
    std::int32_t without = kNone;    ///< the set of links that all these flows but `flow` cross
    std::int32_t flow = kNone;       ///< by place in the region
    std::int32_t count = 1;          ///< of `flow` on each of its links
    std::int32_t sibling = kNone;    ///< the next set of those that `flow` crosses with another count
    std::int32_t split_by = kNone;   ///< the last flow that crossed some of its links
    std::int32_t crossed = kNone;    ///< the first set that those have moved to
    std::int32_t narrowest = kNone;  ///< of those with no flows outside, the first of the narrowest ones
  };

  std::int32_t new_slot();
  void add(std::int32_t slot, std::span<const std::int32_t> links, double bytes, std::span<const std::int32_t> counts);
  bool survey(Flow& flow, std::span<const std::int32_t> links, double cap);
  void go_alone(std::int32_t slot);
  void share(std::int32_t slot);
  bool enter_lists(std::int32_t slot);
  void leave_lists(std::int32_t slot);
  void free(std::int32_t slot);
  Time duration(const Flow& flow) const;
  void tell(Time when, std::int32_t slot, Says what);
  std::int32_t set_crossed_by(std::int32_t set, std::int32_t flow, std::int32_t count);
  void tell_end(std::int32_t slot);
  void refresh_tight(LinkState& link) const;
  bool comes_through(const LinkState& link, const Flow& flow, std::int32_t place) const;
  void mark_dirty(std::int32_t link);
  void schedule_settle();
  void solve_around(std::int32_t link);
  void include(std::int32_t flow);
  void include_all(std::int32_t link);
  void enter(std::int32_t index, bool whole);
  void solve_region();
  void solve_small_region();
  void solve_large_region();
  double held_outside(const LinkState& link) const;
  double solved_rate(const Flow& flow) const {
    return small_ ? small_solver_.rate(flow.local) : solver_.rate(flow.local);
  }
  bool grow_region();
  void set_rate(std::int32_t flow, double rate);

  EventQueue& queue_;
  std::vector<Link> links_;
  std::uint32_t kind_;
  std::vector<LinkState> states_;
  std::vector<Flow> flows_;
  std::vector<Member> members_;
  std::vector<std::int32_t> free_;    ///< slots of `flows_`
  std::vector<std::int32_t> dirty_;   ///< links whose flows must be solved
  std::vector<std::int32_t> region_;  ///< flows being solved
  std::vector<std::int32_t> border_;  ///< tight links that they cross
  std::vector<LinkSet>
      sets_;  ///< of `border_` of a large region; the first is of links that no flow of the region crosses
  std::vector<std::int32_t> shared_;  ///< messages that were alone until just now
  bool small_ = true;                 ///< the region fits small_solver_
  bool closed_ = true;                ///< its border is crossed by no other flows
  SmallMaxMin small_solver_;
  MaxMin solver_;
  std::size_t active_ = 0;
  std::size_t sharing_ = 0;  ///< flows in lists
  std::uint32_t stamp_ = 0;
  std::uint64_t settle_serial_ = 0;
  bool settle_pending_ = false;
  std::uint64_t solves_ = 0;
  std::uint64_t solved_flows_ = 0;
  std::uint64_t rate_changes_ = 0;
};

}  // namespace lockstep::sim
