#include <algorithm>
#include <deque>

#include <fmt/format.h>

#include "core/base/error.hpp"
#include "real/comm/collective_run.hpp"

namespace lockstep {

namespace {

constexpr std::size_t kPiece = 65536;  // elements
constexpr std::size_t kWindow = 4;     // pieces that are received ahead

class OrderedRun final : public CollectiveRun {
 public:
  OrderedRun(std::vector<std::span<float>> groups, int filled, std::uint32_t sequence, Transport& transport)
      : groups_(std::move(groups)), transport_(transport), up_(static_cast<int>(sequence % 64u) << 24), down_(up_ | 1) {
    LOCKSTEP_EXPECTS(!groups_.empty() && 0 <= filled && filled <= static_cast<int>(groups_.size()));
    // The first group of the first rank begins the sum, filled or not; an empty one holds zeros then.
    groups_.resize(static_cast<std::size_t>(std::max(1, filled)));
    empty_ = filled == 0;
    pieces_ = std::max<std::size_t>(1, (groups_[0].size() + kPiece - 1) / kPiece);
    incoming_.resize(kWindow * kPiece);
  }

  Progress advance() override {
    bool moved = false;
    const int rank = transport_.rank(), last = transport_.size() - 1;
    clear_sends(moved);
    // Towards the last rank: receive the sum of the ranks before, add mine.
    if (rank > 0) {
      for (; posted_ < pieces_ && posted_ - folded_ < kWindow; ++posted_, moved = true)
        requests_.push_back(transport_.receive(rank - 1, up_, std::as_writable_bytes(slot(posted_))));
    }
    while (folded_ < pieces_) {
      if (rank > 0) {
        if (folded_ == posted_ || !transport_.test(requests_.front())) break;
        requests_.pop_front();
      }
      fold(folded_);
      if (rank < last) send(rank + 1, up_, folded_);
      ++folded_;
      moved = true;
      if (rank > 0 && posted_ < pieces_) {
        requests_.push_back(transport_.receive(rank - 1, up_, std::as_writable_bytes(slot(posted_))));
        ++posted_;
      }
    }
    // Back to the first: the total overwrites my part of it, once that has left.
    while (total_ < pieces_) {
      if (rank == last) {
        if (total_ == folded_) break;
      } else {
        if (total_ >= gone_up_) break;
        if (!asked_) {
          back_ = transport_.receive(rank + 1, down_, std::as_writable_bytes(piece(groups_[0], total_)));
          asked_ = moved = true;
        }
        if (!transport_.test(back_)) break;
        asked_ = false;
      }
      if (rank > 0) send(rank - 1, down_, total_);
      ++total_;
      moved = true;
    }
    if (total_ == pieces_ && ups_.empty() && downs_.empty()) return Progress::Done;
    return moved ? Progress::Some : Progress::None;
  }

  Wait waiting() const override {
    if (folded_ < pieces_)
      return {{transport_.rank() - 1}, fmt::format("ordered sum, piece {} of {}", folded_ + 1, pieces_)};
    return {{transport_.rank() + 1}, fmt::format("return of the ordered sum, piece {} of {}", total_ + 1, pieces_)};
  }

 private:
  static std::span<float> piece(std::span<float> whole, std::size_t i) {
    return whole.subspan(i * kPiece, std::min(kPiece, whole.size() - i * kPiece));
  }
  std::span<float> slot(std::size_t i) {
    return std::span(incoming_).subspan(i % kWindow * kPiece, piece(groups_[0], i).size());
  }
  void send(int to, int tag, std::size_t i) {
    (tag == up_ ? ups_ : downs_).push_back(transport_.send(to, tag, std::as_bytes(piece(groups_[0], i))));
  }
  void clear_sends(bool& moved) {
    for (auto* sends : {&ups_, &downs_}) {
      while (!sends->empty() && transport_.test(sends->front())) {
        sends->pop_front();
        gone_up_ += sends == &ups_ ? 1 : 0;
        moved = true;
      }
    }
  }
  void fold(std::size_t i) {
    const std::span<float> sum = piece(groups_[0], i);
    if (transport_.rank() > 0) {
      const std::span<const float> before = slot(i);
      if (empty_) std::copy(before.begin(), before.end(), sum.begin());
      if (!empty_) {
        for (std::size_t k = 0; k < sum.size(); ++k) sum[k] = before[k] + sum[k];
      }
    } else if (empty_) {
      std::fill(sum.begin(), sum.end(), 0.0f);
    }
    for (std::size_t g = 1; g < groups_.size(); ++g) {
      const std::span<const float> mine = piece(groups_[g], i);
      for (std::size_t k = 0; k < sum.size(); ++k) sum[k] += mine[k];
    }
  }

  std::vector<std::span<float>> groups_;
  Transport& transport_;
  int up_, down_;
  bool empty_ = false, asked_ = false;
  std::size_t pieces_ = 1, posted_ = 0, folded_ = 0, gone_up_ = 0, total_ = 0;
  std::vector<float> incoming_;
  std::deque<Transport::Request> requests_;
  std::deque<Transport::Request> ups_, downs_;
  Transport::Request back_ = 0;
};

class LibraryRun final : public CollectiveRun {
 public:
  LibraryRun(std::span<float> buffer, Transport& transport)
      : transport_(transport), request_(transport.begin_allreduce(buffer)) {}
  Progress advance() override { return transport_.test(request_) ? Progress::Done : Progress::None; }
  Wait waiting() const override {
    Wait wait{{}, "the library's own allreduce"};
    for (int r = 0; r < transport_.size(); ++r) {
      if (r != transport_.rank()) wait.ranks.push_back(r);
    }
    return wait;
  }

 private:
  Transport& transport_;
  Transport::Request request_;
};

}  // namespace

std::unique_ptr<CollectiveRun> run_ordered(std::vector<std::span<float>> groups, int filled, std::uint32_t sequence,
                                           Transport& transport) {
  return std::make_unique<OrderedRun>(std::move(groups), filled, sequence, transport);
}

std::unique_ptr<CollectiveRun> run_library(std::span<float> buffer, Transport& transport) {
  return std::make_unique<LibraryRun>(buffer, transport);
}

}  // namespace lockstep
