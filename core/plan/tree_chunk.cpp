#include "core/plan/tree_chunk.hpp"

#include "core/base/error.hpp"

namespace lockstep {

std::int64_t tree_chunk(Bytes size, Bytes largest, int channels, int depth) {
  LOCKSTEP_EXPECTS(largest > Bytes(0) && channels >= 1 && depth >= 0);
  std::int64_t chunk = largest.count();
  const auto halve = [&](int per_level, std::int64_t floor) {
    while (size.count() / (channels * chunk) < static_cast<std::int64_t>(depth) * per_level && chunk > floor)
      chunk /= 2;
  };
  halve(8, Bytes::kib(128).count());
  halve(4, Bytes::kib(64).count());
  halve(1, Bytes::kib(32).count());
  return chunk;
}

}  // namespace lockstep
