// Named random streams. A stream is fixed by (seed, purpose, index), so a new consumer shifts nobody else's numbers.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace lockstep {

/// Counter-based generator (Philox4x32-10, Salmon et al., SC 2011, through Random123). Copyable; equal streams give
/// equal numbers on every platform (normal() up to the C library's log, sin and cos). Not thread-safe: give each thread
/// its own stream.
class Rng {
 public:
  /// `index` is a rank, sample or step: whatever tells apart streams of the same purpose.
  Rng(std::uint64_t seed, std::string_view purpose, std::uint64_t index = 0);

  std::uint32_t next_u32();
  std::uint64_t next_u64();
  /// Uniform in [0, 1) with 53 random bits.
  double uniform();
  /// Uniform integer in [0, n), n >= 1, without modulo bias.
  std::uint64_t below(std::uint64_t n);
  /// Standard normal by Box-Muller (two uniforms per pair).
  double normal();

 private:
  void refill();
  std::array<std::uint32_t, 4> counter_{};
  std::array<std::uint32_t, 2> key_{};
  std::array<std::uint32_t, 4> block_{};
  int used_ = 4;
  bool has_spare_ = false;
  double spare_ = 0;
};

}  // namespace lockstep
