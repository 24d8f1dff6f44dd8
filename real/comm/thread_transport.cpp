#include "real/comm/thread_transport.hpp"

#include <condition_variable>
#include <cstring>
#include <deque>
#include <map>
#include <mutex>
#include <tuple>

#include <fmt/format.h>

#include "core/base/error.hpp"

namespace lockstep {

namespace {

/// What the ranks share: mail by (receiver, sender, tag), and a meeting point for the collectives that wait.
struct Hall {
  explicit Hall(int n) : ranks(n) {
    for (int r = 0; r < n; ++r) hosts.push_back(fmt::format("thread {}", r));
  }
  const int ranks;
  std::vector<std::string> hosts;
  std::mutex mutex;
  std::condition_variable changed;
  std::map<std::tuple<int, int, int>, std::deque<std::vector<std::byte>>> mail;
  std::vector<std::string> offered, taken;
  int arrived = 0;
  std::int64_t round = 0;
};

class ThreadTransport final : public Transport {
 public:
  ThreadTransport(std::shared_ptr<Hall> hall, int rank) : hall_(std::move(hall)), rank_(rank) {}
  int rank() const override { return rank_; }
  int size() const override { return hall_->ranks; }
  const std::string& host(int rank) const override { return hall_->hosts[static_cast<std::size_t>(rank)]; }
  std::string description() const override { return "threads"; }

  Request send(int to, int tag, std::span<const std::byte> data) override {
    LOCKSTEP_EXPECTS(to != rank_ && 0 <= to && to < size() && 0 <= tag && tag < kTags);
    const std::lock_guard lock(hall_->mutex);
    hall_->mail[{to, rank_, tag}].emplace_back(data.begin(), data.end());
    return kDone;
  }
  Request receive(int from, int tag, std::span<std::byte> data) override {
    LOCKSTEP_EXPECTS(from != rank_ && 0 <= from && from < size() && 0 <= tag && tag < kTags);
    waiting_[++last_] = {from, tag, data};
    return last_;
  }
  bool test(Request request) override {
    if (request == kDone) return true;
    const auto it = waiting_.find(request);
    LOCKSTEP_EXPECTS(it != waiting_.end());
    if (it->second.sum) return test_sum(it);
    const std::lock_guard lock(hall_->mutex);
    const auto box = hall_->mail.find({rank_, it->second.from, it->second.tag});
    if (box == hall_->mail.end() || box->second.empty()) return false;
    // Receives of equal address match in the order in which they were posted.
    for (auto before = waiting_.begin(); before != it; ++before) {
      if (!before->second.sum && before->second.from == it->second.from && before->second.tag == it->second.tag)
        return false;
    }
    LOCKSTEP_EXPECTS(box->second.front().size() == it->second.data.size());
    if (!it->second.data.empty())
      std::memcpy(it->second.data.data(), box->second.front().data(), it->second.data.size());
    box->second.pop_front();
    if (box->second.empty()) hall_->mail.erase(box);
    waiting_.erase(it);
    return true;
  }
  bool cancel(Request request) override {
    waiting_.erase(request);
    return true;
  }
  /// Everyone sends everything to everyone: simple, and only for tests and small worlds.
  Request begin_allreduce(std::span<float> values) override {
    const int tag = kTags - 1 - static_cast<int>(sums_++ % 1000);
    for (int r = 0; r < size(); ++r) {
      if (r != rank_) send(r, tag, std::as_bytes(values));
    }
    waiting_[++last_] = {-1, tag, std::as_writable_bytes(values), true};
    return last_;
  }
  std::vector<std::string> gather(const std::string& mine) override {
    std::unique_lock lock(hall_->mutex);
    hall_->offered.resize(static_cast<std::size_t>(size()));
    hall_->offered[static_cast<std::size_t>(rank_)] = mine;
    const std::int64_t round = hall_->round;
    if (++hall_->arrived == size()) {
      hall_->taken = std::move(hall_->offered);
      hall_->offered.clear();
      hall_->arrived = 0;
      ++hall_->round;
      hall_->changed.notify_all();
    } else {
      hall_->changed.wait(lock, [&] { return hall_->round != round; });
    }
    return hall_->taken;
  }
  void broadcast(std::span<std::byte> data, int root) override {
    std::string mine;
    if (rank_ == root) mine.assign(reinterpret_cast<const char*>(data.data()), data.size());
    const auto all = gather(mine);
    LOCKSTEP_EXPECTS(all[static_cast<std::size_t>(root)].size() == data.size());
    std::memcpy(data.data(), all[static_cast<std::size_t>(root)].data(), data.size());
  }
  void barrier() override { gather(""); }

 private:
  struct Waiting {
    int from = -1, tag = 0;
    std::span<std::byte> data;
    bool sum = false;
  };
  bool test_sum(std::map<Request, Waiting>::iterator it) {
    const int tag = it->second.tag;
    const std::lock_guard lock(hall_->mutex);
    for (int r = 0; r < size(); ++r) {
      if (r == rank_) continue;
      const auto box = hall_->mail.find({rank_, r, tag});
      if (box == hall_->mail.end() || box->second.empty()) return false;
    }
    auto* values = reinterpret_cast<float*>(it->second.data.data());
    const std::size_t n = it->second.data.size() / sizeof(float);
    const std::vector<float> mine(values, values + n);
    for (int r = 0; r < size(); ++r) {  // in rank order on every rank: equal bits
      const float* from = mine.data();
      std::vector<std::byte> message;
      if (r != rank_) {
        auto& box = hall_->mail[{rank_, r, tag}];
        message = std::move(box.front());
        box.pop_front();
        from = reinterpret_cast<const float*>(message.data());
      }
      for (std::size_t i = 0; i < n; ++i) values[i] = r == 0 ? from[i] : values[i] + from[i];
    }
    waiting_.erase(it);
    return true;
  }

  static constexpr Request kDone = 0;
  std::shared_ptr<Hall> hall_;
  int rank_;
  Request last_ = 0;
  std::int64_t sums_ = 0;
  std::map<Request, Waiting> waiting_;
};

}  // namespace

std::vector<std::unique_ptr<Transport>> thread_transports(int ranks) {
  LOCKSTEP_EXPECTS(ranks >= 1);
  const auto hall = std::make_shared<Hall>(ranks);
  std::vector<std::unique_ptr<Transport>> out;
  out.reserve(static_cast<std::size_t>(ranks));
  for (int r = 0; r < ranks; ++r) out.push_back(std::make_unique<ThreadTransport>(hall, r));
  return out;
}

}  // namespace lockstep
