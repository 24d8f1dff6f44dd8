#include "sim/fold/collective_lengths.hpp"

#include <algorithm>
#include <map>
#include <string>

#include "sim/fold/exchanges.hpp"
#include "sim/fold/group_schedules.hpp"
#include "sim/fold/phase_simulation.hpp"
#include "sim/fold/traffic.hpp"
#include "sim/network/message_cost.hpp"

namespace lockstep::sim {

namespace {
constexpr std::int64_t kWholeMessages = 2000;  // a collective of no more is simulated whole
constexpr std::size_t kLast = 2;               // ranks that come last and are simulated themselves

/// The ranks that come last, of different rows, where a phase takes notice of them.
std::vector<int> last_ranks(const CollectivePlan& plan, const Phase& phase, const Leads& leads) {
  if (leads.empty() || is_ring(plan.schedule(phase, Rank(0)))) return {};
  std::vector<int> ranks;
  for (int r = 0; r < static_cast<int>(leads.size()); ++r) {
    if (plan.takes_part(phase, Rank(r))) ranks.push_back(r);
  }
  std::vector<int> last;
  const auto row = [&](int rank) { return phase.group == Group::World ? rank : rank / plan.grid.x; };
  while (last.size() < kLast) {
    const auto next =
        std::min_element(ranks.begin(), ranks.end(), [&](int a, int b) { return leads[at(a)] < leads[at(b)]; });
    if (next == ranks.end()) break;
    last.push_back(*next);
    std::erase_if(ranks, [&](int r) { return row(r) == row(last.back()); });
  }
  return last;
}

/// When the ranks enter the next phase: those of a row leave one together, of which its last rank has everything left to do; after a phase
/// over all rows all enter together.
Leads leads_after(const CollectivePlan& plan, const Phase& phase, Leads leads) {
  if (leads.empty() || phase.group != Group::Row) return {};
  for (std::size_t row = 0; row < leads.size(); row += at(plan.grid.x)) {
    const auto first = leads.begin() + static_cast<std::ptrdiff_t>(row);
    std::fill(first, first + plan.grid.x, *std::min_element(first, first + plan.grid.x));
  }
  return leads;
}
}  // namespace

struct CollectiveLengths::Impl {
  Fabric& fabric;
  const EngineSettings& settings;
  std::map<std::string, Traffic> traffic;
  std::map<std::string, Exchanges> exchanges;

  Time phase(const CollectivePlan& plan, const Phase& phase, int protocol, const Leads& leads) {
    std::string key = phase.name() + " " + std::to_string(plan.grid.x) + " " + std::to_string(protocol);
    if (phase.algorithm == PhaseAlgorithm::HalvingDoubling) {
      const ProtocolSpec& p = settings.library.protocols[at(protocol)];
      auto it = exchanges.find(key);
      if (it == exchanges.end()) it = exchanges.emplace(key, exchanges_of(fabric, settings, plan, phase, p)).first;
      return exchange_time(settings, plan, phase, it->second, leads);
    }
    const std::vector<int> alone = last_ranks(plan, phase, leads);
    for (const int rank : alone) key += " " + std::to_string(rank);
    auto it = traffic.find(key);
    if (it == traffic.end()) it = traffic.emplace(key, traffic_of(fabric, settings, plan, phase, alone)).first;
    return phase_time(fabric, settings, plan, phase, protocol, it->second, leads);
  }
};

CollectiveLengths::CollectiveLengths(Fabric& fabric, const EngineSettings& settings)
    : impl_(std::make_unique<Impl>(Impl{fabric, settings, {}, {}})) {}
CollectiveLengths::~CollectiveLengths() = default;

Time CollectiveLengths::phase(const CollectivePlan& plan, const Phase& phase, int protocol, const Leads& leads) {
  return impl_->phase(plan, phase, protocol, leads);
}

Time CollectiveLengths::of(const CollectivePlan& plan, int protocol, const Leads& entered) {
  Impl& i = *impl_;
  Leads leads = entered;
  if (std::all_of(leads.begin(), leads.end(), [](Time t) { return t == Time::zero(); })) leads.clear();
  if (count(plan).messages <= kWholeMessages) {
    const Time last = leads.empty() ? Time::zero() : *std::max_element(leads.begin(), leads.end());
    for (Time& t : leads) t = last - t;  // when they enter
    return bare_collective_time(i.fabric, i.settings, plan, protocol, leads) - last;
  }
  const ProtocolSpec& p = i.settings.library.protocols[at(protocol)];
  Time total;
  for (const Phase& phase : plan.phases) {
    total += base_of(i.settings.library, p, phase);
    total += i.phase(plan, phase, protocol, leads);
    leads = leads_after(plan, phase, std::move(leads));
  }
  return total;
}

}  // namespace lockstep::sim
