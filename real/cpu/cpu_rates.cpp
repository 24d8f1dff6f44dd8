#include "real/cpu/cpu_rates.hpp"

#include <omp.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <vector>

#include <oneapi/dnnl/dnnl.hpp>

namespace lockstep {

namespace {

constexpr int kRepeats = 10;
constexpr std::int64_t kSide = 1024;
constexpr std::size_t kCopied = std::size_t{256} << 20;

template <class Work>
double best_seconds(Work&& work) {
  double best = 1e9;
  for (int i = 0; i < kRepeats; ++i) {
    const auto begin = std::chrono::steady_clock::now();
    work(i);
    best = std::min(best, std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count());
  }
  return best;
}

}  // namespace

DeviceRates cpu_rates() {
  omp_set_num_threads(1);
  std::vector<float> a(static_cast<std::size_t>(kSide * kSide), 0.5f), b = a, c = a;
  const double product = best_seconds([&](int) {
    dnnl_sgemm('N', 'N', kSide, kSide, kSide, 1.0f, a.data(), kSide, b.data(), kSide, 0.0f, c.data(), kSide);
  });
  std::vector<char> from(kCopied, 1), to(kCopied, 2);
  const double copy = best_seconds([&](int i) {
    std::memcpy(to.data(), from.data(), kCopied);
    from[static_cast<std::size_t>(i)] = to[kCopied - 1];
  });
  DeviceRates out;
  out.fp32 = FlopRate::per_second(2.0 * static_cast<double>(kSide * kSide * kSide) / product);
  out.half = out.fp32 * 2.0;
  out.memory = Bandwidth::bytes_per_second(2 * static_cast<double>(kCopied) / copy);
  out.capacity = Bytes(std::int64_t{sysconf(_SC_PHYS_PAGES)} * sysconf(_SC_PAGESIZE) /
                       std::max(1L, sysconf(_SC_NPROCESSORS_ONLN)));
  return out;
}

}  // namespace lockstep
