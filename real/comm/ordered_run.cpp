#include <algorithm>

#include <fmt/format.h>

#include "core/base/error.hpp"
#include "real/comm/collective_run.hpp"
#include "real/comm/message_window.hpp"

namespace lockstep {

namespace {

/// Pieces of the sum go up the ranks, each of which adds its groups, and the totals come down.
class OrderedRun final : public CollectiveRun {
 public:
  OrderedRun(std::vector<std::span<float>> groups, int filled, std::uint32_t sequence, Transport& transport)
      : groups_(std::move(groups)),
        transport_(transport),
        first_(transport.rank() == 0),
        last_(transport.rank() == transport.size() - 1),
        tag_up_(static_cast<int>(sequence % 64u) << 24),
        tag_down_(tag_up_ | 1) {
    LOCKSTEP_EXPECTS(!groups_.empty() && 0 <= filled && filled <= static_cast<int>(groups_.size()));
    empty_ = filled == 0;
    groups_.resize(static_cast<std::size_t>(std::max(1, filled)));
    pieces_ = pieces_of(static_cast<std::int64_t>(groups_[0].size()));
  }
  ~OrderedRun() override {
    for (MessageWindow* window : {&up_in_, &up_out_, &down_in_, &down_out_}) window->cancel(transport_);
  }

  Progress advance() override {
    bool moved = false;
    for (bool again = true; again; moved = moved || again) {
      again = clear(up_out_);
      again = clear(down_out_) || again;
      again = ask() || again;
      again = go_up() || again;
      again = come_down() || again;
    }
    const bool done = total_ == pieces_ && up_out_.empty() && down_out_.empty();
    return done ? Progress::Done : moved ? Progress::Some : Progress::None;
  }

  bool heard() const override { return up_in_.done() + down_in_.done() > 0; }

  Wait waiting() const override {
    const int rank = transport_.rank();
    if (folded_ < pieces_) {
      const int missing = up_out_.full() ? rank + 1 : rank - 1;
      return {{missing}, fmt::format("ordered sum, piece {} of {}", folded_ + 1, pieces_)};
    }
    const int missing = total_ == pieces_ || down_out_.full() ? rank - 1 : rank + 1;
    return {{missing},
            fmt::format("return of the ordered sum, piece {} of {}", std::min(total_ + 1, pieces_), pieces_)};
  }

 private:
  std::span<float> part(std::size_t group, std::int64_t i) const {
    const Span s = piece_of({0, static_cast<std::int64_t>(groups_[group].size())}, i);
    return groups_[group].subspan(static_cast<std::size_t>(s.begin), static_cast<std::size_t>(s.length));
  }
  bool clear(MessageWindow& sends) {
    bool moved = false;
    for (; !sends.empty() && sends.ready(transport_); moved = true) sends.pop(transport_);
    return moved;
  }

  /// Receives that can be posted.
  bool ask() {
    bool moved = false;
    for (; !first_ && up_in_.posted() < pieces_ && !up_in_.full(); moved = true) {
      std::byte* block = transport_.scratch().take();
      const std::size_t bytes = part(0, up_in_.posted()).size_bytes();
      up_in_.post(transport_.receive(transport_.rank() - 1, tag_up_, {block, bytes}), block);
    }
    // The total overwrites my part of it, once that has left.
    for (; !last_ && down_in_.posted() < up_out_.done() && !down_in_.full(); moved = true) {
      const auto target = std::as_writable_bytes(part(0, down_in_.posted()));
      down_in_.post(transport_.receive(transport_.rank() + 1, tag_down_, target));
    }
    return moved;
  }

  bool go_up() {
    bool moved = false;
    for (; folded_ < pieces_ && (last_ || !up_out_.full()); ++folded_, moved = true) {
      if (!first_ && (up_in_.empty() || !up_in_.ready(transport_))) break;
      fold(folded_, first_ ? nullptr : up_in_.block());
      if (!first_) up_in_.pop(transport_);
      if (!last_) up_out_.post(transport_.send(transport_.rank() + 1, tag_up_, std::as_bytes(part(0, folded_))));
    }
    return moved;
  }

  bool come_down() {
    bool moved = false;
    for (; total_ < pieces_ && !down_out_.full(); ++total_, moved = true) {
      if (last_ ? total_ == folded_ : down_in_.empty() || !down_in_.ready(transport_)) break;
      if (!last_) down_in_.pop(transport_);
      if (!first_) down_out_.post(transport_.send(transport_.rank() - 1, tag_down_, std::as_bytes(part(0, total_))));
    }
    return moved;
  }

  /// `before`: the sum of the ranks before this one. The first group of the first rank begins the sum, filled or not.
  void fold(std::int64_t i, const std::byte* before) {
    const std::span<float> sum = part(0, i);
    if (before != nullptr)
      empty_ ? from_wire(WireType::Fp32, before, sum) : add_from_wire(WireType::Fp32, before, sum);
    else if (empty_)
      std::fill(sum.begin(), sum.end(), 0.0f);
    for (std::size_t g = 1; g < groups_.size(); ++g)
      add_from_wire(WireType::Fp32, std::as_bytes(part(g, i)).data(), sum);
  }

  std::vector<std::span<float>> groups_;
  Transport& transport_;
  const bool first_, last_;
  const int tag_up_, tag_down_;
  bool empty_ = false;
  std::int64_t pieces_ = 1;
  std::int64_t folded_ = 0;  ///< pieces to which this rank has added its groups
  std::int64_t total_ = 0;   ///< pieces whose total is here, and on its way to the rank before
  MessageWindow up_in_, up_out_, down_in_, down_out_;
};

}  // namespace

std::unique_ptr<CollectiveRun> run_ordered(std::vector<std::span<float>> groups, int filled, std::uint32_t sequence,
                                           Transport& transport) {
  return std::make_unique<OrderedRun>(std::move(groups), filled, sequence, transport);
}

}  // namespace lockstep
