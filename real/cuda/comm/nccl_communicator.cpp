#include "real/cuda/comm/nccl_communicator.hpp"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <thread>

#include <fmt/format.h>

#include "core/base/error.hpp"
#include "core/base/units_text.hpp"

static_assert(NCCL_VERSION_CODE >= NCCL_VERSION(2, 15, 0), "non-blocking communicators need NCCL 2.14, Lockstep 2.15");

namespace lockstep::cuda {

namespace {

using Clock = std::chrono::steady_clock;

constexpr std::chrono::milliseconds kPoll{1};
constexpr double kFarewell_s = 5;  // how long a rank that leaves waits for the others

double seconds_since(Clock::time_point begin) { return std::chrono::duration<double>(Clock::now() - begin).count(); }

/// ids[g] for every group of which `rank` is member 0, in order, after one character that says whether that went well.
std::string draw_ids(std::span<const NcclGroup> groups, int world, int rank) {
  std::string out = "+";
  for (const NcclGroup& group : groups) {
    const std::vector<int> members = members_of(group, world, rank);
    if (members.empty() || members[0] != rank) continue;
    ncclUniqueId id;
    if (const ncclResult_t result = ncclGetUniqueId(&id); result != ncclSuccess)
      return fmt::format("-ncclGetUniqueId: {} ({})", ncclGetErrorString(result), ncclGetLastError(nullptr));
    out.append(id.internal, sizeof id.internal);
  }
  return out;
}

/// Where in draw_ids() of `root` the id of groups[g] begins.
std::size_t place_of_id(std::span<const NcclGroup> groups, std::size_t g, int world, int root) {
  std::size_t at = 1;
  for (std::size_t i = 0; i < g; ++i) {
    const std::vector<int> members = members_of(groups[i], world, root);
    if (!members.empty() && members[0] == root) at += NCCL_UNIQUE_ID_BYTES;
  }
  return at;
}

}  // namespace

void check_nccl(ncclResult_t result, std::string_view what, ncclComm_t communicator) {
  if (result == ncclSuccess || result == ncclInProgress) return;
  throw BackendError(fmt::format("{}: {} ({})", what, ncclGetErrorString(result), ncclGetLastError(communicator)));
}

NcclCommunicator::NcclCommunicator(const ncclUniqueId& id, int size, int member, Time timeout) {
  ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
  config.blocking = 0;
  const auto begin = Clock::now();
  try {
    check_nccl(ncclCommInitRankConfig(&communicator_, size, id, member, &config), "ncclCommInitRankConfig");
    ncclResult_t now = state();
    for (; now == ncclInProgress; now = state()) {
      if (seconds_since(begin) > timeout.seconds())
        throw BackendError(fmt::format("not all members came within {}", to_text(timeout)));
      std::this_thread::sleep_for(kPoll);
    }
    check_nccl(now, "ncclCommInitRankConfig", communicator_);
  } catch (...) {
    abort();
    throw;
  }
}

NcclCommunicator::~NcclCommunicator() {
  if (communicator_ == nullptr) return;
  ncclResult_t now = state();
  if (now == ncclSuccess) {
    now = ncclCommFinalize(communicator_);
    for (const auto begin = Clock::now(); now == ncclInProgress && seconds_since(begin) < kFarewell_s;) {
      std::this_thread::sleep_for(kPoll);
      now = state();
    }
  }
  if (now == ncclSuccess) {
    ncclCommDestroy(communicator_);
  } else {
    abort();
  }
}

ncclResult_t NcclCommunicator::state() const {
  if (communicator_ == nullptr) return ncclInvalidUsage;
  ncclResult_t now = ncclSuccess;
  const ncclResult_t asked = ncclCommGetAsyncError(communicator_, &now);
  return asked == ncclSuccess ? now : asked;
}

void NcclCommunicator::abort() {
  if (communicator_ != nullptr) ncclCommAbort(communicator_);
  communicator_ = nullptr;
}

NcclCommunicators::NcclCommunicators(Transport& transport, std::span<const NcclGroup> groups, Time timeout) {
  if (groups.empty()) return;
  const int world = transport.size(), rank = transport.rank();
  const std::vector<std::string> ids = transport.gather(draw_ids(groups, world, rank));
  for (int r = 0; r < world; ++r) {
    const std::string& one = ids[static_cast<std::size_t>(r)];
    if (one[0] != '+') throw BackendError(fmt::format("rank {} (host {}): {}", r, transport.host(r), one.substr(1)));
  }
  for (std::size_t g = 0; g < groups.size(); ++g) {
    all_.push_back({groups[g], nullptr});
    const std::vector<int> members = members_of(groups[g], world, rank);
    if (members.empty()) continue;
    const int root = members[0];
    ncclUniqueId id;
    std::memcpy(id.internal, ids[static_cast<std::size_t>(root)].data() + place_of_id(groups, g, world, root),
                sizeof id.internal);
    const auto me = static_cast<int>(std::find(members.begin(), members.end(), rank) - members.begin());
    try {
      all_.back().communicator = std::make_unique<NcclCommunicator>(id, static_cast<int>(members.size()), me, timeout);
    } catch (const BackendError& e) {
      throw BackendError(fmt::format("rank {} (host {}): NCCL communicator of {}, member {} of {}: {}", rank,
                                     transport.host(rank), groups[g].name(), me, members.size(), e.what()));
    }
  }
}

ncclComm_t NcclCommunicators::of(const NcclGroup& group) const {
  const auto it = std::find_if(all_.begin(), all_.end(), [&](const One& one) { return one.group == group; });
  LOCKSTEP_EXPECTS(it != all_.end() && it->communicator);
  return *it->communicator;
}

ncclResult_t NcclCommunicators::state(std::string* text) const {
  ncclResult_t result = ncclSuccess;
  for (const One& one : all_) {
    const ncclResult_t now = one.communicator ? one.communicator->state() : ncclSuccess;
    if (now == ncclInProgress) result = now;
    if (now == ncclSuccess || now == ncclInProgress) continue;
    if (text != nullptr)
      *text = fmt::format("NCCL communicator of {}: {} ({})", one.group.name(), ncclGetErrorString(now),
                          ncclGetLastError(*one.communicator));
    return now;
  }
  return result;
}

void NcclCommunicators::abort() {
  for (One& one : all_) {
    if (one.communicator) one.communicator->abort();
  }
}

std::string nccl_version() {
  int code = 0;
  check_nccl(ncclGetVersion(&code), "ncclGetVersion");
  return fmt::format("NCCL {}.{}.{}", code / 10000, code / 100 % 100, code % 100);
}

}  // namespace lockstep::cuda
