// Messages under way in one direction.
#pragma once

#include <array>
#include <cstdint>

#include "core/base/error.hpp"
#include "real/comm/transport.hpp"

namespace lockstep {

/// The messages of one step to or from one rank, numbered from 0, oldest first, at most kMost under way. Each may use a
/// block of the transport's scratch.
class MessageWindow {
 public:
  static constexpr std::int64_t kMost = 4;

  std::int64_t posted() const { return posted_; }
  std::int64_t done() const { return done_; }
  bool full() const { return posted_ - done_ == kMost; }
  bool empty() const { return posted_ == done_; }

  void post(Transport::Request request, std::byte* block = nullptr) {
    LOCKSTEP_EXPECTS(!full());
    at(posted_++) = {request, block};
  }
  /// True once the oldest has left or arrived. Not when empty.
  bool ready(Transport& transport) {
    ready_ = ready_ || transport.test(at(done_).request);
    return ready_;
  }
  /// Of the oldest.
  std::byte* block() { return at(done_).block; }
  /// Drops the oldest, which must be ready.
  void pop(Transport& transport) {
    LOCKSTEP_EXPECTS(ready_);
    if (block() != nullptr) transport.scratch().give(block());
    ready_ = false;
    ++done_;
  }
  /// Gives up what is under way. A block that the library may still touch is not used again.
  void cancel(Transport& transport) {
    for (; done_ < posted_; ++done_, ready_ = false) {
      const bool free = ready_ || transport.cancel(at(done_).request);
      if (free && block() != nullptr) transport.scratch().give(block());
    }
  }
  /// Begins to count anew.
  void reset() {
    LOCKSTEP_EXPECTS(empty());
    posted_ = done_ = 0;
  }

 private:
  struct Message {
    Transport::Request request = 0;
    std::byte* block = nullptr;
  };
  Message& at(std::int64_t i) { return messages_[static_cast<std::size_t>(i % kMost)]; }

  std::array<Message, kMost> messages_;
  std::int64_t posted_ = 0, done_ = 0;
  bool ready_ = false;
};

}  // namespace lockstep
