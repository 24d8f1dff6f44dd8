#include "sim/network/background.hpp"

#include <algorithm>

namespace lockstep::sim {

namespace {

/// Flows between GPUs of two nodes, drawn uniformly, by the fabric's own routes.
class Flows {
 public:
  Flows(const Fabric& fabric, Rng rng) : fabric_(fabric), rng_(rng) {}

  /// The cables of the next one, counted from the fabric's first; none for a pair below one leaf. Valid until the next call.
  const std::vector<std::size_t>& draw() {
    const auto gpus = static_cast<std::uint64_t>(fabric_.gpus());
    const int from = static_cast<int>(rng_.below(gpus)), to = static_cast<int>(rng_.below(gpus));
    crossed_.clear();
    cables_.clear();
    fabric_.cables(from, to, crossed_);
    for (const std::int32_t link : crossed_) cables_.push_back(static_cast<std::size_t>(link) - fabric_.first_cable());
    return cables_;
  }

 private:
  const Fabric& fabric_;
  Rng rng_;
  std::vector<std::int32_t> crossed_;
  std::vector<std::size_t> cables_;
};

}  // namespace

std::vector<Bandwidth> left_by_other_jobs(const Fabric& fabric, double share, Rng rng) {
  const std::vector<Link>& links = fabric.links();
  const std::size_t first = fabric.first_cable(), cables = links.size() - first;
  std::vector<double> capacity(cables), load(cables, 0);
  std::vector<int> flows(cables, 0);
  for (std::size_t i = 0; i < cables; ++i) capacity[i] = links[first + i].capacity.bytes_per_second();

  // A few nodes of a large cluster reach few of its cables: only what flows between them reach can be loaded.
  std::vector<bool> reached(cables, false);
  double wanted = 0, carried = 0;
  Flows scout(fabric, rng);
  for (std::size_t n = 0; n < 8 * cables + 100; ++n) {
    for (const std::size_t i : scout.draw()) {
      if (!reached[i]) wanted += share * capacity[i];
      reached[i] = true;
    }
  }

  const double port = fabric.port_rate().bytes_per_second();
  Flows others(fabric, rng);
  // Pairs below one leaf cross nothing and are drawn again; a fabric of one leaf has no others.
  for (std::size_t tries = 0; carried < wanted && tries < 100 * cables + 100; ++tries) {
    for (const std::size_t i : others.draw()) {
      if (reached[i]) carried += std::min(port, std::max(0.0, capacity[i] - load[i]));
      load[i] += port;
      ++flows[i];
    }
  }

  std::vector<Bandwidth> left;
  for (std::size_t i = 0; i < cables; ++i)
    left.push_back(Bandwidth::bytes_per_second(std::max(capacity[i] - load[i], capacity[i] / (flows[i] + 1))));
  return left;
}

}  // namespace lockstep::sim
