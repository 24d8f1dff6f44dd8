#include "real/world/recorder.hpp"

#include <cstring>

#include <algorithm>

#include "core/base/error.hpp"

namespace lockstep {

void Recorder::add(OpKind kind, Lane lane, const std::string& name, Time begin, Time end, Bytes bytes) {
  const Time length = end - begin;
  switch (kind) {
    case OpKind::Load: parts_.input += length; break;
    case OpKind::Forward: parts_.forward += length; break;
    case OpKind::Backward: parts_.backward += length; break;
    case OpKind::Allreduce: throw InternalError("a collective is no operation of the compute lane");
    case OpKind::Update: parts_.update += length; break;
  }
  add_beside(kind, lane, name, begin, end, bytes);
}

void Recorder::add_wait(Time begin, Time heard, Time end) {
  const Time turn = std::clamp(heard, begin, end);
  parts_.straggler += turn - begin;
  parts_.exposed += end - turn;
}

void Recorder::add_beside(OpKind kind, Lane lane, const std::string& name, Time begin, Time end, Bytes bytes) {
  if (!traced()) return;
  const std::lock_guard lock(mutex_);
  events_.push_back({rank_, lane, step_, kind, name, begin, end, bytes});
}

std::string pack_events(const std::vector<TimelineEvent>& events) {
  std::string out;
  const auto put = [&](std::int64_t v) { out.append(reinterpret_cast<const char*>(&v), sizeof v); };
  for (const TimelineEvent& e : events) {
    for (const std::int64_t v :
         {std::int64_t{e.rank.value}, static_cast<std::int64_t>(e.lane), e.step, static_cast<std::int64_t>(e.kind),
          e.begin.picoseconds(), e.end.picoseconds(), e.bytes.count(), static_cast<std::int64_t>(e.name.size())}) {
      put(v);
    }
    out += e.name;
  }
  return out;
}

std::vector<TimelineEvent> unpack_events(const std::string& bytes) {
  std::vector<TimelineEvent> out;
  std::size_t at = 0;
  const auto get = [&] {
    std::int64_t v = 0;
    LOCKSTEP_EXPECTS(at + sizeof v <= bytes.size());
    std::memcpy(&v, bytes.data() + at, sizeof v);
    at += sizeof v;
    return v;
  };
  while (at < bytes.size()) {
    TimelineEvent e;
    e.rank = Rank(static_cast<int>(get()));
    e.lane = static_cast<Lane>(get());
    e.step = get();
    e.kind = static_cast<OpKind>(get());
    e.begin = Time::picoseconds(get());
    e.end = Time::picoseconds(get());
    e.bytes = Bytes(get());
    const auto length = static_cast<std::size_t>(get());
    LOCKSTEP_EXPECTS(at + length <= bytes.size());
    e.name = bytes.substr(at, length);
    at += length;
    out.push_back(std::move(e));
  }
  return out;
}

}  // namespace lockstep
