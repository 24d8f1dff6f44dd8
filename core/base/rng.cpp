#include "core/base/rng.hpp"

#include <Random123/philox.h>

#include <cmath>
#include <numbers>

#include "core/base/digest.hpp"

namespace lockstep {

Rng::Rng(std::uint64_t seed, std::string_view purpose, std::uint64_t index) {
  Digest name;
  name.add(purpose);
  const std::uint64_t p = name.value();
  key_ = {static_cast<std::uint32_t>(seed ^ p), static_cast<std::uint32_t>((seed ^ p) >> 32)};
  // Word 0 and 1 count blocks; words 2 and 3 hold the index, so streams of one purpose never meet.
  counter_ = {0, 0, static_cast<std::uint32_t>(index), static_cast<std::uint32_t>(index >> 32)};
}

void Rng::refill() {
  const r123::Philox4x32::ctr_type c = {{counter_[0], counter_[1], counter_[2], counter_[3]}};
  const r123::Philox4x32::key_type k = {{key_[0], key_[1]}};
  const auto out = r123::Philox4x32()(c, k);
  for (std::size_t i = 0; i < 4; ++i) block_[i] = out[i];
  if (++counter_[0] == 0) ++counter_[1];
  used_ = 0;
}

std::uint32_t Rng::next_u32() {
  if (used_ == 4) refill();
  return block_[static_cast<std::size_t>(used_++)];
}

std::uint64_t Rng::next_u64() {
  const std::uint64_t high = next_u32();
  return high << 32 | next_u32();
}

double Rng::uniform() { return static_cast<double>(next_u64() >> 11) * 0x1p-53; }

std::uint64_t Rng::below(std::uint64_t n) {
  // Values above the largest multiple of n would make small results likelier; draw again.
  const std::uint64_t limit = ~std::uint64_t{0} - ~std::uint64_t{0} % n;
  std::uint64_t v = next_u64();
  while (v >= limit) v = next_u64();
  return v % n;
}

double Rng::normal() {
  if (has_spare_) {
    has_spare_ = false;
    return spare_;
  }
  const double radius = std::sqrt(-2 * std::log(1 - uniform()));
  const double angle = 2 * std::numbers::pi * uniform();
  spare_ = radius * std::sin(angle);
  has_spare_ = true;
  return radius * std::cos(angle);
}

}  // namespace lockstep
