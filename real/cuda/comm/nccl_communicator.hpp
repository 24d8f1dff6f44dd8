// Owned NCCL communicators, made and waited for within a time limit.
#pragma once

#include <nccl.h>

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/units.hpp"
#include "real/comm/transport.hpp"
#include "real/cuda/comm/nccl_calls.hpp"

namespace lockstep::cuda {

/// Throws BackendError "WHAT: text (NCCL's last message)" unless `result` is ncclSuccess or ncclInProgress.
void check_nccl(ncclResult_t result, std::string_view what, ncclComm_t communicator = nullptr);

/// A non-blocking communicator of the thread's device: calls on it may return before they are done, with state()
/// InProgress. All members are constructed at the same time, each by its own thread or process; two members on one
/// device are refused by NCCL. Not for several threads at once, but for state().
class NcclCommunicator {
 public:
  /// Waits for all members, at most `timeout`. Throws BackendError.
  NcclCommunicator(const ncclUniqueId& id, int size, int member, Time timeout);
  /// Waits a few seconds for the others to leave too, if nothing went wrong; else aborts.
  ~NcclCommunicator();
  NcclCommunicator(const NcclCommunicator&) = delete;
  NcclCommunicator& operator=(const NcclCommunicator&) = delete;

  operator ncclComm_t() const { return communicator_; }
  /// Success, InProgress while calls are being taken, or the first error of this or another member. Never waits.
  ncclResult_t state() const;
  /// Ends what is under way on the device, with results unknown; there is no communicator afterwards. Harmless when
  /// repeated.
  void abort();

 private:
  ncclComm_t communicator_ = nullptr;
};

/// The communicators of one rank.
class NcclCommunicators {
 public:
  /// Every rank of `transport` calls it with the same groups. Member 0 of each communicator draws its id; one gather
  /// carries all. (ncclCommSplit would need NCCL 2.18.) `timeout` holds for each. Throws BackendError naming rank, host
  /// and group.
  NcclCommunicators(Transport& transport, std::span<const NcclGroup> groups, Time timeout);
  /// That of a group to which this rank belongs.
  ncclComm_t of(const NcclGroup& group) const;
  /// InProgress if any is, or the first error; `text`, where given, is then NCCL's message.
  ncclResult_t state(std::string* text = nullptr) const;
  void abort();

 private:
  struct One {
    NcclGroup group;
    std::unique_ptr<NcclCommunicator> communicator;  ///< none where this rank is not a member
  };
  std::vector<One> all_;
};

/// "NCCL 2.28.9", of the library that is loaded.
std::string nccl_version();

}  // namespace lockstep::cuda
