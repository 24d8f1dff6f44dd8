#include "real/cuda/comm/roll_call.hpp"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <thread>

#include "core/base/error.hpp"

namespace lockstep::cuda {

namespace {

constexpr int kTag = Transport::kTags - 4096;

struct Call {
  int rank = 0;
  Transport::Request request = 0;
};

/// Drops what has left or arrived.
template <class Then>
void sweep(Transport& transport, std::vector<Call>& calls, Then then) {
  std::erase_if(calls, [&](const Call& call) {
    if (!transport.test(call.request)) return false;
    then(call.rank);
    return true;
  });
}

}  // namespace

std::vector<int> roll_call(Transport& transport, int place, Time patience) {
  const int world = transport.size();
  std::vector<int> places(static_cast<std::size_t>(world), -1);
  places[static_cast<std::size_t>(transport.rank())] = place;
  // A block of the transport, for it must outlive what cannot be cancelled. Places, and behind them ours.
  std::byte* block = transport.scratch().take();
  const auto at = [&](int rank) {
    return std::span(block + static_cast<std::size_t>(rank) * sizeof place, sizeof place);
  };
  LOCKSTEP_EXPECTS(static_cast<std::size_t>(world) < static_cast<std::size_t>(kPieceElements));
  std::memcpy(at(world).data(), &place, sizeof place);
  bool free = true;
  std::vector<Call> in, out;
  try {
    for (int r = 0; r < world; ++r) {
      if (r == transport.rank()) continue;
      in.push_back({r, transport.receive(r, kTag, at(r))});
      out.push_back({r, transport.send(r, kTag, at(world))});
    }
    const auto end = std::chrono::steady_clock::now() + std::chrono::duration<double>(patience.seconds());
    while (true) {
      sweep(transport, out, [](int) {});
      sweep(transport, in,
            [&](int r) { std::memcpy(&places[static_cast<std::size_t>(r)], at(r).data(), sizeof place); });
      if ((in.empty() && out.empty()) || std::chrono::steady_clock::now() > end) break;
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    for (const Call& call : in) free = transport.cancel(call.request) && free;
    for (const Call& call : out) free = transport.cancel(call.request) && free;
  } catch (const BackendError&) {
    free = false;  // the message passing is broken too; the ranks heard so far are all that is known
  }
  if (free) transport.scratch().give(block);
  return places;
}

}  // namespace lockstep::cuda
