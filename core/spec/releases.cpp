#include "core/spec/releases.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <cstdlib>
#include <utility>

namespace lockstep {

namespace {
constexpr int kFarthest = 36;  // months: beyond them one release says nothing of another
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
  return Release{framework.substr(0, framework.size() - kTail), year * 12 + month - 1};
}

std::string product_of(const std::string& framework) { return framework.substr(0, framework.rfind('-')); }

double years_between(const std::string& a, const std::string& b) {
  const auto one = release_of(a), other = release_of(b);
  return one && other && one->product == other->product ? std::abs(one->month - other->month) / 12.0 : 0;
}

int find_anchor(const GpuSpec& gpu, Precision nominal, const std::string& framework) {
  const Precision precision = computed_as(gpu, nominal);
  const auto wanted = release_of(framework);
  int nearest = -1;
  std::pair<int, int> least;  // months away, month
  for (std::size_t i = 0; i < gpu.anchors.size(); ++i) {
    const Anchor& a = gpu.anchors[i];
    if (a.precision != precision) continue;
    if (framework.empty() ? !a.channels_first : a.framework == framework) return static_cast<int>(i);
    const auto release = release_of(a.framework);
    if (!wanted || !release || release->product != wanted->product) continue;
    const std::pair candidate{std::abs(release->month - wanted->month), release->month};
    if (candidate.first > kFarthest || (nearest >= 0 && candidate >= least)) continue;
    nearest = static_cast<int>(i);
    least = candidate;
  }
  return nearest;
}

int nearest_anchor(const GpuSpec& gpu, Precision nominal) {
  using P = Precision;
  constexpr int kFirstWithTensorCores = 70;
  const P precision = computed_as(gpu, nominal);
  const auto on_tensor_cores = [&](P p) {
    return gpu.compute_capability >= kFirstWithTensorCores && computed_as(gpu, p) != P::Fp32;
  };
  const std::array by_nearness = precision == P::Fp32   ? std::array{P::Fp32, P::Tf32, P::Fp16, P::Bf16}
                                 : precision == P::Tf32 ? std::array{P::Tf32, P::Fp32, P::Fp16, P::Bf16}
                                 : precision == P::Fp16 ? std::array{P::Fp16, P::Bf16, P::Tf32, P::Fp32}
                                                        : std::array{P::Bf16, P::Fp16, P::Tf32, P::Fp32};
  for (const P p : by_nearness) {
    if (on_tensor_cores(p) != on_tensor_cores(precision)) continue;
    const auto it = std::find_if(gpu.anchors.begin(), gpu.anchors.end(),
                                 [&](const Anchor& a) { return a.precision == p && !a.channels_first; });
    if (it != gpu.anchors.end()) return static_cast<int>(it - gpu.anchors.begin());
  }
  return -1;
}

int anchor_in_nchw(const GpuSpec& gpu, Precision nominal) {
  const Precision precision = computed_as(gpu, nominal);
  const auto it = std::find_if(gpu.anchors.begin(), gpu.anchors.end(),
                               [&](const Anchor& a) { return a.precision == precision && a.channels_first; });
  return it == gpu.anchors.end() ? -1 : static_cast<int>(it - gpu.anchors.begin());
}

int anchor_beyond(const GpuSpec& gpu, Precision nominal, const std::string& framework) {
  const Precision precision = computed_as(gpu, nominal);
  constexpr int kUnlikely = 20;  // one over 5 %
  const auto wanted = release_of(framework);
  const int taken = find_anchor(gpu, precision, framework);
  if (!wanted || taken < 0) return -1;
  const int near = release_of(gpu.anchors[static_cast<std::size_t>(taken)].framework)->month - wanted->month;
  int beyond = -1, least = 0;
  for (std::size_t i = 0; i < gpu.anchors.size(); ++i) {
    const auto release = release_of(gpu.anchors[i].framework);
    if (gpu.anchors[i].precision != precision || !release || release->product != wanted->product) continue;
    const int far = release->month - wanted->month;
    if (std::abs(far) > kFarthest || far * near >= 0 || (beyond >= 0 && std::abs(far) >= least)) continue;
    beyond = static_cast<int>(i);
    least = std::abs(far);
  }
  return beyond >= 0 && std::abs(near) * kUnlikely > std::abs(near) + least ? beyond : -1;
}

std::string unknown_anchor(const GpuSpec& gpu, Precision nominal, const std::string& framework) {
  const Precision precision = computed_as(gpu, nominal);
  std::string known;
  bool dated = false, meant = false;
  for (const Anchor& a : gpu.anchors) {
    if (a.precision != precision) continue;
    known += (known.empty() ? "" : ", ") + a.framework;
    dated = dated || release_of(a.framework);
    meant = meant || !a.channels_first || product_of(a.framework) == product_of(framework);
  }
  if (!meant || find_anchor(gpu, precision, framework) >= 0) return "";
  return "GPU " + gpu.name + " has no anchor \"" + framework + "\" at this precision; expected one of " + known +
         (dated ? ", or NAME-YY.MM within three years of a release among them" : "");
}

}  // namespace lockstep
