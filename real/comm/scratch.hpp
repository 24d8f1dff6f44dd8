// Memory for messages, kept from one collective to the next.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <vector>

#include "core/plan/schedule.hpp"

namespace lockstep {

/// Large spans travel in pieces: what is received is combined, and what is sent converted, while it is still in a core's
/// second-level cache; and pieces of one message overlap. 256 KiB in fp32.
constexpr std::int64_t kPieceElements = 65536;

/// At least one, so that an empty span still synchronises.
inline std::int64_t pieces_of(std::int64_t length) { return chunk_count(length, kPieceElements); }

/// Piece `i` of a span, 0 <= i < pieces_of(whole.length).
inline Span piece_of(Span whole, std::int64_t i) {
  return {whole.begin + i * kPieceElements, std::min(kPieceElements, whole.length - i * kPieceElements)};
}

/// Blocks that hold a piece of any wire type. The block given back last is taken first: it is the one in cache. After the
/// first collectives nothing is allocated. Not for several threads at once.
class Scratch {
 public:
  std::byte* take() {
    if (free_.empty()) {
      all_.emplace_back(static_cast<std::byte*>(::operator new(kBytes, kAlignment)));
      free_.reserve(all_.size());
      return all_.back().get();
    }
    std::byte* block = free_.back();
    free_.pop_back();
    return block;
  }
  void give(std::byte* block) { free_.push_back(block); }
  /// Blocks ever allocated.
  std::size_t blocks() const { return all_.size(); }

 private:
  static constexpr std::size_t kBytes = static_cast<std::size_t>(kPieceElements) * sizeof(float);
  static constexpr std::align_val_t kAlignment{4096};
  struct Delete {
    void operator()(std::byte* block) const { ::operator delete(block, kAlignment); }
  };
  std::vector<std::unique_ptr<std::byte, Delete>> all_;
  std::vector<std::byte*> free_;
};

}  // namespace lockstep
