#include "core/run/timeline.hpp"

namespace lockstep {

Breakdown& Breakdown::operator+=(const Breakdown& o) {
  input += o.input;
  forward += o.forward;
  backward += o.backward;
  exposed += o.exposed;
  straggler += o.straggler;
  update += o.update;
  return *this;
}

Breakdown Breakdown::operator/(double n) const {
  return {input / n, forward / n, backward / n, exposed / n, straggler / n, update / n};
}

std::string to_text(Lane lane) {
  switch (lane) {
    case Lane::Input: return "input";
    case Lane::Compute: return "compute";
    case Lane::Communication: return "communication";
  }
  return "?";
}

std::string to_text(OpKind kind) {
  switch (kind) {
    case OpKind::Load: return "load";
    case OpKind::Forward: return "forward";
    case OpKind::Backward: return "backward";
    case OpKind::Allreduce: return "allreduce";
    case OpKind::Update: return "update";
  }
  return "?";
}

}  // namespace lockstep
