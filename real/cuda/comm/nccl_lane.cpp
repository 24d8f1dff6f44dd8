#include "real/cuda/comm/nccl_lane.hpp"

#include <chrono>
#include <thread>

#include <fmt/format.h>

#include "core/base/error.hpp"
#include "core/base/units_text.hpp"
#include "real/cuda/comm/roll_call.hpp"

namespace lockstep::cuda {

namespace {

using Clock = std::chrono::steady_clock;

constexpr int kReplay = 1 << 20;  // the place in a roll call of a rank that waits for a launched graph

// Mostly the library takes calls within microseconds, but within seconds where it connects to other ranks first.
constexpr int kSpins = 2000;
constexpr std::chrono::microseconds kSleep{50};

ncclDataType_t nccl_type(WireType wire) {
  switch (wire) {
    case WireType::Fp32: return ncclFloat32;
    case WireType::Fp16: return ncclFloat16;
    case WireType::Bf16: return ncclBfloat16;
  }
  throw InternalError("not a wire type");
}

std::vector<NcclGroup> groups_of(const std::vector<LaneBucket>& buckets) {
  std::vector<CollectivePlan> plans;
  plans.reserve(buckets.size());
  for (const LaneBucket& b : buckets) plans.push_back(b.plan);
  return nccl_groups(plans);
}

ncclResult_t queue(const NcclCall& c, std::byte* memory, std::size_t bytes, ncclDataType_t type, ncclComm_t comm,
                   cudaStream_t stream) {
  const void* send = memory + static_cast<std::size_t>(c.send) * bytes;
  void* receive = memory + static_cast<std::size_t>(c.receive) * bytes;
  const auto count = static_cast<std::size_t>(c.count);
  switch (c.op) {
    case CollectiveOp::Allreduce: return ncclAllReduce(send, receive, count, type, ncclSum, comm, stream);
    case CollectiveOp::ReduceScatter: return ncclReduceScatter(send, receive, count, type, ncclSum, comm, stream);
    case CollectiveOp::AllGather: return ncclAllGather(send, receive, count, type, comm, stream);
    case CollectiveOp::Reduce: return ncclReduce(send, receive, count, type, ncclSum, c.root, comm, stream);
    case CollectiveOp::Broadcast: return ncclBroadcast(send, receive, count, type, c.root, comm, stream);
  }
  throw InternalError("not a collective");
}

/// "; no answer from rank 3 (host b)", or that all are there.
std::string late_ranks(const Transport& transport, const std::vector<int>& places, int mine) {
  std::string missing, behind;
  int unnamed = 0;
  for (int r = 0; r < transport.size(); ++r) {
    const int place = places[static_cast<std::size_t>(r)];
    if (place == mine) continue;
    std::string& list = place < 0 ? missing : behind;
    if (list.size() > 200) {
      ++unnamed;
    } else {
      list += fmt::format("{}rank {} (host {})", list.empty() ? "" : ", ", r, transport.host(r));
    }
  }
  std::string text;
  if (!missing.empty()) text += "; no answer from " + missing;
  if (!behind.empty()) text += "; in another bucket: " + behind;
  if (unnamed > 0) text += fmt::format(" and {} more", unnamed);
  return text.empty() && transport.size() > 1 ? "; all ranks answer, and wait for the same" : text;
}

}  // namespace

NcclLane::NcclLane(Transport& transport, std::vector<LaneBucket> buckets, LaneSettings settings)
    : transport_(transport),
      settings_(std::move(settings)),
      communicators_(transport, groups_of(buckets), settings_.timeout) {
  LOCKSTEP_EXPECTS(settings_.reduction == Reduction::Planned);
  slots_.reserve(buckets.size());
  for (LaneBucket& b : buckets) {
    LOCKSTEP_EXPECTS(b.plan.grid.size() == transport.size() && b.groups == 1);
    Slot& s = slots_.emplace_back();
    s.phases = nccl_calls(b.plan, transport.rank());
    if (b.memory == nullptr)
      s.own = DeviceArray<std::byte>(static_cast<std::size_t>(b.plan.elements) * wire_bytes(b.wire));
    s.memory = b.memory != nullptr ? b.memory : s.own.data();
    s.bucket = std::move(b);
  }
  int device = 0;
  cuda::check(cudaGetDevice(&device), "cudaGetDevice");
  Watchdog::Settings watch;
  watch.timeout = settings_.timeout;
  watch.enter = [device] { enter_thread(device); };
  watch.fault = [this] {
    std::string text;
    const std::lock_guard lock(mutex_);
    if (!aborted_) communicators_.state(&text);
    return text;
  };
  watch.stop = [this] {
    const std::lock_guard lock(mutex_);
    aborted_ = true;
    communicators_.abort();
  };
  watchdog_ = std::make_unique<Watchdog>(std::move(watch));
}

NcclLane::~NcclLane() = default;

NcclLane::Slot& NcclLane::slot(BucketId bucket) {
  LOCKSTEP_EXPECTS(bucket && bucket.index() < slots_.size());
  return slots_[bucket.index()];
}

std::string NcclLane::what(BucketId bucket) const {
  return fmt::format("the allreduce of bucket {} over NCCL", bucket.value);
}

void NcclLane::begin_step(cudaStream_t compute) {
  check();
  record_timed(step_begin_, compute);
}

void NcclLane::start(BucketId bucket, const Event& ready, int) {
  check();
  Slot& s = slot(bucket);
  LOCKSTEP_EXPECTS(!s.open);
  ready.block(stream_);
  s.captured = captured(stream_);  // from here on, if `ready` was
  Marks& marks = s.captured ? s.replayed : s.eager;
  record_timed(marks.begin, stream_);
  if (s.bucket.pack) s.bucket.pack(s.memory, stream_);
  for (const NcclPhase& phase : s.phases) {
    try {
      if (!call(phase, s)) {
        watchdog_->report(
            {fmt::format("{} was not taken by the library within {}", what(bucket), to_text(settings_.timeout)),
             bucket.value, true});
      }
    } catch (const BackendError& e) {
      watchdog_->report({what(bucket) + ": " + e.what(), bucket.value, false});
    }
    check();
  }
  if (s.bucket.unpack) s.bucket.unpack(s.memory, stream_);
  record_timed(marks.end, stream_);
  s.done.record(stream_);
  s.open = true;
  if (s.captured) return;  // nothing runs yet
  watchdog_->watch({what(bucket), bucket.value, [m = &marks] {
                      if (m->end.reached()) return Watchdog::State::Done;
                      return m->begin.reached() ? Watchdog::State::Running : Watchdog::State::Waiting;
                    }});
}

bool NcclLane::call(const NcclPhase& phase, const Slot& s) {
  {
    const std::lock_guard lock(mutex_);
    if (aborted_) return true;  // check() says why
    const ncclComm_t comm = communicators_.of(phase.group);
    check_nccl(ncclGroupStart(), "ncclGroupStart");
    ncclResult_t result = ncclSuccess;
    for (const NcclCall& c : phase.calls) {
      const ncclResult_t one = queue(c, static_cast<std::byte*>(s.memory), wire_bytes(s.bucket.wire),
                                     nccl_type(s.bucket.wire), comm, stream_);
      if (one != ncclSuccess && one != ncclInProgress) result = one;
    }
    const ncclResult_t end = ncclGroupEnd();
    check_nccl(result == ncclSuccess ? end : result, "collectives in " + phase.group.name(), comm);
  }
  return settle();
}

bool NcclLane::settle() {
  const auto begin = Clock::now();
  for (int i = 0; true; ++i) {
    {
      std::string text;
      const std::lock_guard lock(mutex_);
      if (aborted_) return true;
      const ncclResult_t now = communicators_.state(&text);
      if (now == ncclSuccess) return true;
      if (now != ncclInProgress) throw BackendError(text);
    }
    if (std::chrono::duration<double>(Clock::now() - begin).count() > settings_.timeout.seconds()) return false;
    if (i < kSpins) {
      std::this_thread::yield();
    } else {
      std::this_thread::sleep_for(kSleep);
    }
  }
}

void NcclLane::wait(BucketId bucket, cudaStream_t compute) {
  check();
  Slot& s = slot(bucket);
  LOCKSTEP_EXPECTS(s.open);
  s.done.block(compute);
  s.open = false;
}

void NcclLane::launched(cudaStream_t stream) {
  check();
  auto end = std::make_shared<Event>();
  end->record(stream);
  watchdog_->watch({"the allreduces of a launched graph over NCCL", kReplay,
                    [end] { return end->reached() ? Watchdog::State::Done : Watchdog::State::Running; }});
}

void NcclLane::check() {
  if (error_.empty()) {
    const auto failure = watchdog_->failure();
    if (!failure) return;
    error_ = fmt::format("rank {} (host {}): {}", transport_.rank(), transport_.host(transport_.rank()), failure->text);
    if (failure->late)
      error_ += late_ranks(transport_, roll_call(transport_, failure->place, settings_.patience), failure->place);
  }
  throw BackendError(error_);
}

GradientLane::Times NcclLane::times(BucketId bucket) {
  Slot& s = slot(bucket);
  const Marks& marks = s.captured ? s.replayed : s.eager;
  synchronise(marks.end);
  return {marks.begin.since(step_begin_), marks.end.since(step_begin_)};
}

}  // namespace lockstep::cuda
