#include "real/data/order.hpp"

#include <limits>
#include <numeric>
#include <utility>

#include "core/base/error.hpp"
#include "core/base/rng.hpp"

namespace lockstep {

std::vector<std::int32_t> epoch_order(std::uint64_t seed, std::int64_t epoch, std::int64_t images) {
  LOCKSTEP_EXPECTS(0 <= images && images <= std::numeric_limits<std::int32_t>::max());
  std::vector<std::int32_t> order(static_cast<std::size_t>(images));
  std::iota(order.begin(), order.end(), 0);
  Rng rng(seed, "epoch order", static_cast<std::uint64_t>(epoch));
  for (std::size_t i = order.size(); i > 1; --i) std::swap(order[i - 1], order[rng.below(i)]);
  return order;
}

}  // namespace lockstep
