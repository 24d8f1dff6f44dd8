#include "sim/device/noise.hpp"

#include <boost/math/distributions/normal.hpp>

#include <algorithm>
#include <cmath>
#include <functional>
#include <numbers>
#include <numeric>

#include "core/base/error.hpp"
#include "core/base/rng.hpp"

namespace lockstep::sim {

namespace {
constexpr double kLeast = 0.5;  // no GPU is twice as fast as its siblings

/// Expected values of n sorted standard normals, by Blom's plotting positions (i - 3/8) / (n + 1/4) (Blom 1958).
std::vector<double> expected_order_statistics(int n) {
  const boost::math::normal normal;
  std::vector<double> z;
  for (int i = 1; i <= n; ++i) z.push_back(boost::math::quantile(normal, (i - 0.375) / (n + 0.25)));
  return z;
}
}  // namespace

Noise::Noise(std::uint64_t seed, int world_size, double gpu_spread, double step_jitter,
             const std::vector<SlowRank>& slow)
    : fixed_(static_cast<std::size_t>(world_size), 1.0), seed_(seed), step_jitter_(step_jitter) {
  LOCKSTEP_EXPECTS(gpu_spread >= 0 && step_jitter >= 0);
  if (gpu_spread > 0) {
    std::vector<double> z = expected_order_statistics(world_size);
    Rng rng(seed, "gpu spread");
    for (std::size_t i = z.size(); i > 1; --i) std::swap(z[i - 1], z[rng.below(i)]);
    for (std::size_t r = 0; r < fixed_.size(); ++r) fixed_[r] = std::max(kLeast, 1 + gpu_spread * z[r]);
  }
  for (const SlowRank& s : slow) {
    LOCKSTEP_EXPECTS(s.rank >= 0 && s.rank < world_size);
    fixed_[static_cast<std::size_t>(s.rank)] *= s.factor;
  }
}

double Noise::factor(int rank, std::int64_t step) const {
  const double fixed = fixed_[static_cast<std::size_t>(rank)];
  if (step_jitter_ == 0) return fixed;
  // One stream per (rank, step): the order in which steps are asked for does not matter.
  const std::uint64_t index = static_cast<std::uint64_t>(rank) << 32 | (static_cast<std::uint64_t>(step) & 0xffffffffu);
  return fixed * std::max(kLeast, 1 + step_jitter_ * Rng(seed_, "step jitter", index).normal());
}

bool Noise::varies_by_step() const { return step_jitter_ > 0; }

bool Noise::silent() const {
  return step_jitter_ == 0 && std::all_of(fixed_.begin(), fixed_.end(), [](double f) { return f == 1; });
}

double Noise::mean() const {
  return std::accumulate(fixed_.begin(), fixed_.end(), 0.0) / static_cast<double>(fixed_.size());
}

std::vector<double> Noise::typical() const {
  std::vector<double> factors;
  for (std::size_t r = 0; r < fixed_.size(); ++r) factors.push_back(factor(static_cast<int>(r), 0));
  const double drawn = *std::max_element(factors.begin(), factors.end());
  const double middle = std::accumulate(factors.begin(), factors.end(), 0.0) / static_cast<double>(factors.size());
  if (drawn <= middle) return factors;
  const double stretch = (expected_slowest() - middle) / (drawn - middle);
  for (double& f : factors) f = std::max(kLeast, middle + (f - middle) * stretch);
  return factors;
}

double Noise::expected_slowest() const {
  std::vector<double> slowest_first = fixed_;
  std::sort(slowest_first.begin(), slowest_first.end(), std::greater<>());
  if (step_jitter_ == 0) return slowest_first.front();
  // The slowest decide: they count one by one, the others in groups of about equal ranks.
  struct Group {
    double fixed;
    double count;
  };
  constexpr std::size_t kSingly = 48, kGroups = 64;
  std::vector<Group> groups;
  for (std::size_t i = 0; i < slowest_first.size();) {
    const std::size_t size =
        i < kSingly ? 1 : std::min(slowest_first.size() - i, 1 + (slowest_first.size() - kSingly) / kGroups);
    const auto begin = slowest_first.begin() + static_cast<std::ptrdiff_t>(i);
    const double sum = std::accumulate(begin, begin + static_cast<std::ptrdiff_t>(size), 0.0);
    groups.push_back({sum / static_cast<double>(size), static_cast<double>(size)});
    i += size;
  }
  // E[max] = low + integral of 1 - P(max <= x) above a `low` that the slowest rank alone passes almost surely; Simpson's rule.
  constexpr double kReach = 8;  // sigmas
  constexpr int kIntervals = 200;
  const auto above = [&](double x) {
    double log_below = 0;
    for (const Group& g : groups) {
      const double z = (x / g.fixed - 1) / step_jitter_;
      const double below = x < kLeast * g.fixed ? 0 : 0.5 * std::erfc(-z / std::numbers::sqrt2);
      if (below <= 0) return 1.0;
      log_below += g.count * std::log(below);
    }
    return -std::expm1(log_below);
  };
  const double low = slowest_first.front() * std::max(kLeast, 1 - kReach * step_jitter_);
  const double high = slowest_first.front() * (1 + kReach * step_jitter_), h = (high - low) / kIntervals;
  double sum = above(low) + above(high);
  for (int i = 1; i < kIntervals; ++i) sum += above(low + i * h) * (i % 2 ? 4 : 2);
  return low + sum * h / 3;
}

}  // namespace lockstep::sim
