#include "real/cuda/device/step_clock.hpp"

#include "real/cuda/comm/gradient_lane.hpp"

namespace lockstep::cuda {

void StepMarks::mark(Part part, cudaStream_t stream) {
  if (used_ == marks_.size()) marks_.emplace_back();
  marks_[used_].part = part;
  record_timed(marks_[used_].event, stream);
  ++used_;
}

Breakdown StepMarks::parts(const StepMarks* before) const {
  Breakdown out;
  const Event* since = before != nullptr && !before->empty() ? &before->last() : nullptr;
  for (std::size_t i = 0; i < used_; ++i) {
    const Time length = since != nullptr ? marks_[i].event.since(*since) : Time::zero();
    since = &marks_[i].event;
    switch (marks_[i].part) {
      case Part::Begin: out.input += length; break;
      case Part::Forward: out.forward += length; break;
      case Part::Backward: out.backward += length; break;
      case Part::Wait: out.exposed += length; break;
      case Part::Update: out.update += length; break;
    }
  }
  return out;
}

}  // namespace lockstep::cuda
