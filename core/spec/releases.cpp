#include "core/spec/releases.hpp"

#include <cctype>
#include <cmath>

namespace lockstep {

namespace {
constexpr double kFarthest = 3;  // years: beyond that one release says nothing of another
}

std::optional<Release> release_of(const std::string& framework) {
  constexpr std::size_t kTail = 6;  // "-YY.MM"
  if (framework.size() <= kTail) return std::nullopt;
  const std::string tail = framework.substr(framework.size() - kTail);
  const auto digit = [&](std::size_t i) {
    return std::isdigit(static_cast<unsigned char>(tail[i])) != 0 ? tail[i] - '0' : -100;
  };
  const int year = digit(1) * 10 + digit(2), month = digit(4) * 10 + digit(5);
  if (tail[0] != '-' || tail[3] != '.' || year < 0 || month < 1 || month > 12) return std::nullopt;
  return Release{framework.substr(0, framework.size() - kTail), year + (month - 1) / 12.0};
}

std::string product_of(const std::string& framework) { return framework.substr(0, framework.rfind('-')); }

double years_between(const std::string& a, const std::string& b) {
  const auto one = release_of(a), other = release_of(b);
  return one && other && one->product == other->product ? std::abs(one->years - other->years) : 0;
}

int find_anchor(const GpuSpec& gpu, Precision precision, const std::string& framework) {
  const auto wanted = release_of(framework);
  int nearest = -1;
  double distance = 0, age = 0;
  for (std::size_t i = 0; i < gpu.anchors.size(); ++i) {
    const Anchor& a = gpu.anchors[i];
    if (a.precision != precision) continue;
    if (framework.empty() || a.framework == framework) return static_cast<int>(i);
    const auto release = release_of(a.framework);
    if (!wanted || !release || release->product != wanted->product) continue;
    const double years = std::abs(release->years - wanted->years);
    if (years > kFarthest) continue;
    constexpr double kSame = 1.0 / 24;  // half a month: sums of twelfths are not exact
    if (nearest < 0 || years < distance - kSame || (years < distance + kSame && release->years < age)) {
      nearest = static_cast<int>(i);
      distance = years;
      age = release->years;
    }
  }
  return nearest;
}

}  // namespace lockstep
