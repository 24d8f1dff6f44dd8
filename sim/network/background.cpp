#include "sim/network/background.hpp"

#include <algorithm>

namespace lockstep::sim {

std::vector<Bandwidth> left_by_other_jobs(const Fabric& fabric, double share, Rng rng) {
  const std::vector<Link>& links = fabric.links();
  const std::size_t first = fabric.first_cable(), cables = links.size() - first;
  std::vector<double> capacity(cables), load(cables, 0);
  std::vector<int> flows(cables, 0);
  double wanted = 0, carried = 0;
  for (std::size_t i = 0; i < cables; ++i) {
    capacity[i] = links[first + i].capacity.bytes_per_second();
    if (fabric.works(static_cast<std::int32_t>(first + i))) wanted += share * capacity[i];
  }

  const double port = fabric.port_rate().bytes_per_second();
  const auto gpus = static_cast<std::uint64_t>(fabric.gpus());
  std::vector<std::int32_t> crossed;
  // Pairs below one leaf cross nothing and are drawn again; a fabric of one leaf has no others.
  for (std::size_t tries = 0; carried < wanted && tries < 100 * cables + 100; ++tries) {
    const int from = static_cast<int>(rng.below(gpus)), to = static_cast<int>(rng.below(gpus));
    crossed.clear();
    fabric.cables(from, to, crossed);
    for (const std::int32_t link : crossed) {
      const std::size_t i = static_cast<std::size_t>(link) - first;
      carried += std::min(port, std::max(0.0, capacity[i] - load[i]));
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
