// NCCL between threads: the calls of non-blocking communicators. As the library does, it takes calls some time after
// they were made (ncclInProgress until then), sums in the wire's type member by member, and refuses two members on one
// device. What members disagree on is a fault of their devices.
#include <nccl.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <cstring>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "tests/real/cuda/emulation/element.hpp"
#include "tests/real/cuda/emulation/machine.hpp"
#include "tests/real/cuda/emulation/stream.hpp"

namespace {

using emulator::Type;

constexpr std::chrono::microseconds kTaking{300};  // until the library has taken a group of calls

enum class Kind { Allreduce, ReduceScatter, AllGather, Reduce, Broadcast };

/// What one member brings to a collective.
struct Part {
  Kind kind;
  const void* send;
  void* receive;
  std::size_t count;
  Type type;
  int root;
  int member = 0;
};

/// The collective of one sequence number.
struct Round {
  std::vector<Part> parts;
  bool done = false, broken = false;
};

struct Meeting {
  std::mutex mutex;
  std::condition_variable changed;
  int size = 0, joined = 0, left = 0;
  std::set<int> devices;
  std::map<std::uint64_t, std::shared_ptr<Round>> rounds;
};

struct Member {
  std::shared_ptr<Meeting> meeting;
  int rank = 0, device = 0;
  std::atomic<bool> aborted{false}, finalizing{false}, busy{false};
  std::uint64_t sequence = 0;  ///< of its stream's thread
  std::shared_ptr<int> in_graphs = std::make_shared<int>();
};

std::size_t elements_in(const Part& p, int members) {
  return p.kind == Kind::AllGather || p.kind == Kind::ReduceScatter ? p.count * static_cast<std::size_t>(members)
                                                                    : p.count;
}

float rounded(Type type, float v) {
  float memory = 0;
  emulator::put(type, &memory, 0, v);
  return emulator::get(type, &memory, 0);
}

/// Parts by member. Reads everything before it writes: collectives may be in place.
void execute(std::vector<Part>& parts) {
  std::sort(parts.begin(), parts.end(), [](const Part& a, const Part& b) { return a.member < b.member; });
  const Part& first = parts[0];
  for (const Part& p : parts) {
    if (p.kind != first.kind || p.count != first.count || p.type != first.type || p.root != first.root)
      throw std::logic_error("NCCL: members disagree about a collective");
  }
  std::vector<float> all(elements_in(first, static_cast<int>(parts.size())));
  for (std::size_t i = 0; i < all.size(); ++i) {
    if (first.kind == Kind::AllGather) {
      all[i] = emulator::get(first.type, parts[i / first.count].send, i % first.count);
    } else if (first.kind == Kind::Broadcast) {
      all[i] = emulator::get(first.type, parts[static_cast<std::size_t>(first.root)].send, i);
    } else {
      float sum = emulator::get(first.type, first.send, i);
      for (std::size_t m = 1; m < parts.size(); ++m)
        sum = rounded(first.type, sum + emulator::get(first.type, parts[m].send, i));
      all[i] = sum;
    }
  }
  for (std::size_t m = 0; m < parts.size(); ++m) {
    if (first.kind == Kind::Reduce && static_cast<int>(m) != first.root) continue;
    const std::size_t begin = first.kind == Kind::ReduceScatter ? m * first.count : 0;
    const std::size_t count = first.kind == Kind::ReduceScatter ? first.count : all.size();
    for (std::size_t i = 0; i < count; ++i) emulator::put(first.type, parts[m].receive, i, all[begin + i]);
  }
}

/// On the stream's thread: waits for the other members.
void take_part(Member& member, const Part& part) {
  Meeting& meeting = *member.meeting;
  std::unique_lock lock(meeting.mutex);
  const std::uint64_t sequence = member.sequence++;
  auto& entry = meeting.rounds[sequence];
  if (!entry) entry = std::make_shared<Round>();
  const std::shared_ptr<Round> round = entry;
  round->parts.push_back(part);
  if (static_cast<int>(round->parts.size()) == meeting.size) {
    try {
      execute(round->parts);
    } catch (...) {
      round->broken = true;
    }
    round->done = true;
    meeting.rounds.erase(sequence);
    meeting.changed.notify_all();
  }
  while (!round->done && !member.aborted) meeting.changed.wait_for(lock, std::chrono::milliseconds(2));
  if (round->broken) throw std::logic_error("NCCL: members disagree about a collective");
}

}  // namespace

struct ncclComm {
  std::shared_ptr<Member> member;
  std::thread taker;

  void rest() {
    if (taker.joinable()) taker.join();
  }
};

namespace {

struct Queued {
  ncclComm* communicator;
  Part part;
  cudaStream_t stream;
};
thread_local int depth = 0;
thread_local std::vector<Queued> group;

Type type_of(ncclDataType_t t) { return t == ncclFloat16 ? Type::F16 : t == ncclBfloat16 ? Type::Bf16 : Type::F32; }

ncclResult_t add(Part part, ncclDataType_t type, ncclComm* communicator, cudaStream_t stream) {
  if (depth == 0) return ncclInvalidUsage;
  part.type = type_of(type);
  part.member = communicator->member->rank;
  const int members = communicator->member->meeting->size;
  const auto present = [&](const void* p, bool whole) {
    const std::size_t count = whole ? elements_in(part, members) : part.count;
    return count == 0 || emulator::in_device_memory(p, count * emulator::bytes_of(part.type));
  };
  if (!present(part.send, part.kind == Kind::ReduceScatter) || !present(part.receive, part.kind == Kind::AllGather))
    return ncclInvalidArgument;
  if (stream->device != communicator->member->device) return ncclInvalidArgument;
  group.push_back({communicator, part, stream});
  return ncclInProgress;
}

void queue(const std::vector<Queued>& calls) {
  for (const Queued& c : calls) {
    cudaStreamCaptureStatus status = cudaStreamCaptureStatusNone;
    cudaStreamIsCapturing(c.stream, &status);
    const auto held = status == cudaStreamCaptureStatusActive ? c.communicator->member->in_graphs : nullptr;
    emulator::put(c.stream, [member = c.communicator->member, part = c.part, held] { take_part(*member, part); });
  }
}

std::mutex& meetings_mutex() {
  static std::mutex m;
  return m;
}

std::shared_ptr<Meeting> meeting_of(const ncclUniqueId& id) {
  static std::map<std::string, std::weak_ptr<Meeting>> all;
  const std::lock_guard lock(meetings_mutex());
  auto& entry = all[std::string(id.internal, sizeof id.internal)];
  auto meeting = entry.lock();
  if (!meeting) entry = meeting = std::make_shared<Meeting>();
  return meeting;
}

}  // namespace

extern "C" {

ncclResult_t ncclGetVersion(int* version) { return *version = NCCL_VERSION_CODE, ncclSuccess; }
const char* ncclGetErrorString(ncclResult_t) { return "emulated result"; }
const char* ncclGetLastError(ncclComm_t) { return "no detail"; }

ncclResult_t ncclGetUniqueId(ncclUniqueId* id) {
  static std::atomic<int> next = 0;
  *id = {};
  std::snprintf(id->internal, sizeof id->internal, "meeting %d", ++next);
  return ncclSuccess;
}

ncclResult_t ncclCommInitRankConfig(ncclComm_t* out, int size, ncclUniqueId id, int rank, ncclConfig_t* config) {
  if (config->blocking != 0 || rank < 0 || rank >= size) return ncclInvalidUsage;
  auto member = std::make_shared<Member>();
  member->meeting = meeting_of(id);
  member->rank = rank;
  member->device = emulator::current_device();
  {
    const std::lock_guard lock(member->meeting->mutex);
    member->meeting->size = size;
    ++member->meeting->joined;
    member->meeting->devices.insert(member->device);
  }
  *out = new ncclComm{std::move(member), {}};
  return ncclInProgress;
}

ncclResult_t ncclCommGetAsyncError(ncclComm_t c, ncclResult_t* result) {
  Member& member = *c->member;
  Meeting& meeting = *member.meeting;
  const std::lock_guard lock(meeting.mutex);
  const bool complete = meeting.joined >= meeting.size;
  const bool waiting = !complete || member.busy || (member.finalizing && meeting.left < meeting.size);
  const bool duplicate = complete && static_cast<int>(meeting.devices.size()) < meeting.size;
  *result = duplicate ? ncclInvalidUsage : waiting ? ncclInProgress : ncclSuccess;
  return ncclSuccess;
}

ncclResult_t ncclCommFinalize(ncclComm_t c) {
  const std::lock_guard lock(c->member->meeting->mutex);
  c->member->finalizing = true;
  ++c->member->meeting->left;
  return ncclInProgress;
}

ncclResult_t ncclCommDestroy(ncclComm_t c) {
  c->rest();
  if (c->member->in_graphs.use_count() > 1)
    emulator::fail(c->member->device, "NCCL: a communicator went before the graph that holds its collectives");
  return delete c, ncclSuccess;
}

ncclResult_t ncclCommAbort(ncclComm_t c) {
  c->member->aborted = true;
  c->rest();
  return delete c, ncclSuccess;
}

ncclResult_t ncclGroupStart() { return ++depth, ncclSuccess; }

ncclResult_t ncclGroupEnd() {
  if (--depth > 0) return ncclSuccess;
  const std::vector<Queued> calls = std::exchange(group, {});
  if (calls.empty()) return ncclSuccess;
  ncclComm* c = calls[0].communicator;
  for (const Queued& call : calls) {
    if (call.communicator != c) return ncclInvalidUsage;  // not emulated
  }
  c->rest();
  c->member->busy = true;
  c->taker = std::thread([calls, member = c->member] {
    std::this_thread::sleep_for(kTaking);
    queue(calls);
    member->busy = false;
  });
  return ncclInProgress;
}

ncclResult_t ncclAllReduce(const void* send, void* receive, size_t n, ncclDataType_t type, ncclRedOp_t, ncclComm_t c,
                           cudaStream_t stream) {
  return add({Kind::Allreduce, send, receive, n, Type::F32, 0}, type, c, stream);
}
ncclResult_t ncclReduceScatter(const void* send, void* receive, size_t n, ncclDataType_t type, ncclRedOp_t,
                               ncclComm_t c, cudaStream_t stream) {
  return add({Kind::ReduceScatter, send, receive, n, Type::F32, 0}, type, c, stream);
}
ncclResult_t ncclAllGather(const void* send, void* receive, size_t n, ncclDataType_t type, ncclComm_t c,
                           cudaStream_t stream) {
  return add({Kind::AllGather, send, receive, n, Type::F32, 0}, type, c, stream);
}
ncclResult_t ncclReduce(const void* send, void* receive, size_t n, ncclDataType_t type, ncclRedOp_t, int root,
                        ncclComm_t c, cudaStream_t stream) {
  return add({Kind::Reduce, send, receive, n, Type::F32, root}, type, c, stream);
}
ncclResult_t ncclBroadcast(const void* send, void* receive, size_t n, ncclDataType_t type, int root, ncclComm_t c,
                           cudaStream_t stream) {
  return add({Kind::Broadcast, send, receive, n, Type::F32, root}, type, c, stream);
}

}  // extern "C"
