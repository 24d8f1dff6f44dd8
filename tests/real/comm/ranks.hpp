// Buffers whose sums are known, and ranks on threads, for tests of collectives.
#pragma once

#include <cmath>
#include <cstdint>
#include <numeric>
#include <string>
#include <thread>
#include <vector>

#include "core/base/rng.hpp"
#include "core/plan/collective.hpp"
#include "real/comm/collective_run.hpp"
#include "real/comm/thread_transport.hpp"

namespace lockstep::test {

using Buffers = std::vector<std::vector<float>>;

/// What rank `rank` holds: values of either sign, magnitudes from 2^-6 to 2, so that the order of sums shows.
inline std::vector<float> random_buffer(int rank, std::int64_t elements) {
  Rng rng(7, "buffer", static_cast<std::uint64_t>(rank));
  std::vector<float> out(static_cast<std::size_t>(elements));
  for (float& v : out) {
    const std::uint32_t bits = rng.next_u32();
    const float magnitude =
        (1.0f + static_cast<float>(bits >> 9) * 0x1p-23f) * std::ldexp(1.0f, -static_cast<int>(bits % 7));
    v = (bits & 256u) != 0 ? -magnitude : magnitude;
  }
  return out;
}

inline Buffers random_buffers(int ranks, std::int64_t elements) {
  Buffers out;
  for (int r = 0; r < ranks; ++r) out.push_back(random_buffer(r, elements));
  return out;
}

/// Calls `body(transport)` on a thread per rank.
template <class Body>
void on_ranks(int ranks, Body body) {
  auto transports = thread_transports(ranks);
  std::vector<std::thread> threads;
  for (auto& t : transports) threads.emplace_back([&body, &t] { body(*t); });
  for (auto& t : threads) t.join();
}

inline void finish(CollectiveRun& run) {
  while (true) {
    const auto progress = run.advance();
    if (progress == CollectiveRun::Progress::Done) return;
    if (progress == CollectiveRun::Progress::None) std::this_thread::yield();
  }
}

inline constexpr AllreduceAlgorithm kAllAlgorithms[] = {
    AllreduceAlgorithm::Ring,       AllreduceAlgorithm::HalvingDoubling,
    AllreduceAlgorithm::Tree,       AllreduceAlgorithm::NodeTree,
    AllreduceAlgorithm::Torus,      AllreduceAlgorithm::Hierarchical,
    AllreduceAlgorithm::ThreePhase, AllreduceAlgorithm::Nvls};

inline CollectivePlan plan_of(AllreduceAlgorithm algorithm, int ranks, int node, std::int64_t elements,
                              WireType wire = WireType::Fp32, std::int64_t chunk = 1000) {
  CollectiveRequest request;
  request.algorithm = algorithm;
  request.across = AllreduceAlgorithm::Tree;
  request.world_size = ranks;
  const bool whole_nodes = algorithm != AllreduceAlgorithm::Nvls || (node > 1 && ranks % node == 0);
  request.node_gpus = whole_nodes ? std::min(node, ranks) : ranks;  // NVLS has nodes of equally many GPUs, two at least
  if (algorithm == AllreduceAlgorithm::NodeTree) {
    std::vector<int>& order = request.ring_orders.emplace_back(static_cast<std::size_t>(request.node_gpus));
    std::iota(order.rbegin(), order.rend(), 0);  // the last local rank is the head
  }
  request.elements = elements;
  request.element_bytes = static_cast<int>(wire_bytes(wire));
  request.chunk = request.nvls_chunk = chunk;
  return plan_collective(request);
}

/// The largest error of `sum` against a sum in double, in units of what is allowed: at most 1.
/// A sum of n fp32 values in any order errs by at most (n - 1) 2^-24 of the sum of magnitudes (to first order). Every hop
/// over a 16-bit wire adds half a unit in the last place, 2^-11 (fp16) or 2^-8 (bf16) of at most that sum, and there are at
/// most n hops on the way to the total and one behind it.
inline double error_of(const std::vector<float>& sum, const Buffers& in, WireType wire) {
  const double unit = wire == WireType::Fp32 ? 0 : wire == WireType::Fp16 ? 0x1p-11 : 0x1p-8;
  const auto n = static_cast<double>(in.size());
  double worst = 0;
  for (std::size_t i = 0; i < sum.size(); ++i) {
    double exact = 0, magnitude = 0;
    for (const auto& b : in) {
      exact += b[i];
      magnitude += std::abs(b[i]);
    }
    const double allowed = magnitude * (n * 0x1p-24 + (n + 1) * unit);
    const double error = std::abs(sum[i] - exact) / allowed;
    worst = error <= worst ? worst : error;  // a NaN stays
  }
  return worst;
}

}  // namespace lockstep::test
