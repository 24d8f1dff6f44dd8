#include "real/cuda/comm/host_staged_lane.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "core/base/error.hpp"
#include "real/comm/collective_run.hpp"

namespace lockstep::cuda {

struct HostStagedLane::Slot {
  LaneBucket bucket;
  std::string name;
  DeviceArray<std::byte> own;
  std::byte* memory = nullptr;
  PinnedArray<std::byte> staged;  ///< as on the device
  std::vector<float> values;      ///< in fp32; none where `staged` is
  int filled = 1;
  Event begin{true}, end{true};
  Event down, done;
  bool open = false;
  std::int64_t ticket = 0;

  bool converts() const { return bucket.wire != WireType::Fp32; }
  std::size_t elements() const { return static_cast<std::size_t>(bucket.plan.elements); }
  std::size_t group_bytes() const { return elements() * wire_bytes(bucket.wire); }
  std::span<float> group(int g) {
    float* all = converts() ? values.data() : reinterpret_cast<float*>(staged.data());
    return {all + static_cast<std::size_t>(g) * elements(), elements()};
  }
};

/// A bucket from its copy down to its copy up, on the communication thread.
class HostStagedLane::StagedRun final : public CollectiveRun {
 public:
  StagedRun(HostStagedLane& lane, Slot& slot, std::uint32_t sequence) : lane_(lane), slot_(slot), sequence_(sequence) {
    on_device([&] { enter_thread(lane.device_); });
  }

  Progress advance() override {
    if (!run_) {
      if (!arrived()) return Progress::None;
      if (slot_.converts()) from_wire(slot_.bucket.wire, slot_.staged.data(), slot_.group(0));
      run_ = collective();
      return Progress::Some;
    }
    const Progress progress = run_->advance();
    if (progress == Progress::Done) send_up();
    return progress;
  }
  bool heard() const override { return run_ && run_->heard(); }
  Wait waiting() const override {
    if (run_) return run_->waiting();
    return {{lane_.transport_.rank()}, "its own device has not delivered the gradients"};
  }

 private:
  std::unique_ptr<CollectiveRun> collective() {
    const Reduction how = lane_.settings_.reduction;
    if (how == Reduction::Ordered) {
      std::vector<std::span<float>> groups;
      groups.reserve(static_cast<std::size_t>(slot_.bucket.groups));
      for (int g = 0; g < slot_.bucket.groups; ++g) groups.push_back(slot_.group(g));
      return run_ordered(std::move(groups), slot_.filled, sequence_, lane_.transport_);
    }
    if (how == Reduction::Mpi) return run_library(slot_.group(0), lane_.transport_);
    return run_planned(slot_.bucket.plan, sequence_, slot_.group(0), slot_.bucket.wire, lane_.transport_);
  }
  bool arrived() const {
    bool yes = false;
    on_device([&] { yes = slot_.down.reached(); });
    return yes;
  }
  void send_up() {
    if (slot_.converts()) to_wire(slot_.bucket.wire, slot_.group(0), slot_.staged.data());
    on_device([&] {
      if (slot_.elements() > 0)
        copy_to_device<std::byte>(slot_.staged.span().first(slot_.group_bytes()), slot_.memory, lane_.up_);
      if (slot_.bucket.unpack) slot_.bucket.unpack(slot_.memory, lane_.up_);
      record_timed(slot_.end, lane_.up_);
      slot_.done.record(lane_.up_);
    });
  }
  /// Names rank, host and bucket in what the device reports.
  template <class Body>
  void on_device(Body body) const {
    try {
      body();
    } catch (const BackendError& e) {
      const Transport& t = lane_.transport_;
      throw BackendError(fmt::format("rank {} (host {}): {}: {}", t.rank(), t.host(t.rank()), slot_.name, e.what()));
    }
  }

  HostStagedLane& lane_;
  Slot& slot_;
  std::uint32_t sequence_;
  std::unique_ptr<CollectiveRun> run_;  ///< once the values are here
};

HostStagedLane::HostStagedLane(Transport& transport, std::vector<LaneBucket> buckets, LaneSettings settings)
    : transport_(transport), settings_(std::move(settings)), lane_(transport, settings_.in_flight, settings_.timeout) {
  const Reduction how = settings_.reduction;
  cuda::check(cudaGetDevice(&device_), "cudaGetDevice");
  for (LaneBucket& b : buckets) {
    LOCKSTEP_EXPECTS(b.plan.grid.size() == transport.size() && b.groups >= 1);
    LOCKSTEP_EXPECTS(how == Reduction::Ordered ? b.wire == WireType::Fp32 : b.groups == 1);
    auto s = std::make_unique<Slot>();
    s->name = fmt::format("the allreduce of bucket {}", slots_.size());
    s->bucket = std::move(b);
    const auto groups = static_cast<std::size_t>(s->bucket.groups);
    if (s->bucket.memory == nullptr) s->own = DeviceArray<std::byte>(groups * s->group_bytes());
    s->memory = s->bucket.memory != nullptr ? static_cast<std::byte*>(s->bucket.memory) : s->own.data();
    s->staged = PinnedArray<std::byte>(groups * s->group_bytes());
    if (s->converts()) s->values.resize(s->elements());
    slots_.push_back(std::move(s));
  }
}

HostStagedLane::~HostStagedLane() = default;

HostStagedLane::Slot& HostStagedLane::slot(BucketId bucket) {
  LOCKSTEP_EXPECTS(bucket && bucket.index() < slots_.size());
  return *slots_[bucket.index()];
}

void HostStagedLane::begin_step(cudaStream_t compute) {
  check();
  record_timed(step_begin_, compute);
}

void HostStagedLane::start(BucketId bucket, const Event& ready, int filled) {
  check();
  Slot& s = slot(bucket);
  LOCKSTEP_EXPECTS(!s.open && filled <= s.bucket.groups);
  s.filled = filled < 0 ? s.bucket.groups : filled;
  ready.block(down_);
  s.done.block(down_);  // the last step's sums have left the host's memory
  record_timed(s.begin, down_);
  if (s.bucket.pack) s.bucket.pack(s.memory, down_);
  if (s.elements() > 0)
    copy_to_host<std::byte>(
        s.memory, s.staged.span().first(static_cast<std::size_t>(std::max(1, s.filled)) * s.group_bytes()), down_);
  s.down.record(down_);
  s.open = true;
  s.ticket = lane_.start(s.name, [this, &s](std::uint32_t sequence) -> std::unique_ptr<CollectiveRun> {
    return std::make_unique<StagedRun>(*this, s, sequence);
  });
}

void HostStagedLane::wait(BucketId bucket, cudaStream_t compute) {
  check();
  Slot& s = slot(bucket);
  LOCKSTEP_EXPECTS(s.open);
  try {
    lane_.wait(s.ticket);
  } catch (const BackendError& e) {
    error_ = e.what();
    throw;
  }
  s.done.block(compute);
  s.open = false;
}

void HostStagedLane::launched(cudaStream_t) {}

void HostStagedLane::check() {
  if (!error_.empty()) throw BackendError(error_);
}

GradientLane::Times HostStagedLane::times(BucketId bucket) {
  Slot& s = slot(bucket);
  LOCKSTEP_EXPECTS(!s.open);
  synchronise(s.end);
  return {s.begin.since(step_begin_), s.end.since(step_begin_)};
}

}  // namespace lockstep::cuda
