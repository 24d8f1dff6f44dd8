#include "real/cpu/matrix_product.hpp"

#include <omp.h>

#include <algorithm>
#include <chrono>
#include <vector>

#include <oneapi/dnnl/dnnl.hpp>

namespace lockstep {

double matrix_product_rate(std::int64_t n, int threads) {
  constexpr int kRepeats = 10;
  omp_set_num_threads(threads);
  std::vector<float> a(static_cast<std::size_t>(n * n), 0.5f), b = a, c = a;
  double best = 1e9;
  for (int i = 0; i < kRepeats; ++i) {
    const auto begin = std::chrono::steady_clock::now();
    dnnl_sgemm('N', 'N', n, n, n, 1.0f, a.data(), n, b.data(), n, 0.0f, c.data(), n);
    best = std::min(best, std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count());
  }
  return 2.0 * static_cast<double>(n) * static_cast<double>(n) * static_cast<double>(n) / best;
}

}  // namespace lockstep
