// Collectives between threads: the planner's schedules, interpreted with real vectors.
#pragma once

#include <atomic>
#include <condition_variable>
#include <map>
#include <mutex>
#include <span>
#include <tuple>
#include <vector>

#include "core/plan/collective.hpp"

namespace lockstep::test {

/// Mailboxes between the ranks of one process, and counts of what went through them.
class Post {
 public:
  using Address = std::tuple<int, int, int, int, std::int64_t>;  // bucket, phase, receiver, lane, step

  void send(const Address& to, std::span<const float> values) {
    const std::lock_guard lock(mutex_);
    boxes_[to].assign(values.begin(), values.end());
    ++messages_;
    elements_ += static_cast<std::int64_t>(values.size());
    arrived_.notify_all();
  }
  /// Takes the message if it is there.
  bool take(const Address& at, std::vector<float>& values) {
    const std::lock_guard lock(mutex_);
    const auto it = boxes_.find(at);
    if (it == boxes_.end()) return false;
    values = std::move(it->second);
    boxes_.erase(it);
    return true;
  }
  std::uint64_t seen() {
    const std::lock_guard lock(mutex_);
    return static_cast<std::uint64_t>(messages_);
  }
  /// Waits until something has been sent after `seen`.
  void wait_for_more(std::uint64_t seen) {
    std::unique_lock lock(mutex_);
    arrived_.wait(lock, [&] { return static_cast<std::uint64_t>(messages_) > seen; });
  }
  std::int64_t messages() const { return messages_; }
  std::int64_t elements() const { return elements_; }
  bool empty() const { return boxes_.empty(); }

 private:
  std::mutex mutex_;
  std::condition_variable arrived_;
  std::map<Address, std::vector<float>> boxes_;
  std::int64_t messages_ = 0, elements_ = 0;
};

/// Executes `plan` as `rank` on `buffer`; every rank calls it from its own thread. Sums are made in the order that the schedule fixes.
inline void allreduce(const CollectivePlan& plan, int bucket, Rank rank, std::span<float> buffer, Post& post) {
  for (std::size_t p = 0; p < plan.phases.size(); ++p) {
    const Phase& phase = plan.phases[p];
    if (!plan.takes_part(phase, rank)) continue;
    const Schedule schedule = plan.schedule(phase, rank);
    const int member = plan.member(phase, rank);
    struct Lane {
      std::int64_t step = 0, total = 0;
      bool begun = false;
      ScheduleStep now;
    };
    std::vector<Lane> lanes(static_cast<std::size_t>(schedule.lanes(member)));
    for (std::size_t l = 0; l < lanes.size(); ++l) lanes[l].total = schedule.steps(member, static_cast<int>(l));

    const auto span = [&](Span s) {
      return buffer.subspan(static_cast<std::size_t>(s.begin), static_cast<std::size_t>(s.length));
    };
    std::vector<float> received;
    while (true) {
      const std::uint64_t seen = post.seen();
      bool progress = false, open = false;
      for (std::size_t l = 0; l < lanes.size(); ++l) {
        Lane& lane = lanes[l];
        if (lane.step == lane.total) continue;
        open = true;
        if (!lane.begun) {
          lane.now = schedule.step(member, static_cast<int>(l), lane.step);
          bool blocked = false;
          for (const auto& w : lane.now.waits) {
            blocked = blocked || (w.lane >= 0 && lanes[static_cast<std::size_t>(w.lane)].step < w.steps);
          }
          if (blocked) continue;
          lane.begun = progress = true;
          if (lane.now.send_to >= 0) {
            const int to = plan.rank(phase, rank, lane.now.send_to).value;
            post.send({bucket, static_cast<int>(p), to, lane.now.send_lane, lane.now.send_step}, span(lane.now.send));
          }
        }
        if (lane.now.receive_from >= 0) {
          if (!post.take({bucket, static_cast<int>(p), rank.value, static_cast<int>(l), lane.step}, received)) continue;
          const auto target = span(lane.now.receive);
          for (std::size_t i = 0; i < target.size(); ++i)
            target[i] = lane.now.reduce ? target[i] + received[i] : received[i];
        }
        ++lane.step;
        lane.begun = false;
        progress = true;
      }
      if (!open) break;
      if (!progress) post.wait_for_more(seen);
    }
  }
}

}  // namespace lockstep::test
