// A 64-bit fingerprint of a stream of values: equal runs give equal digests, whatever the thread count.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace lockstep {

/// FNV-1a over 64-bit words with a final avalanche. Order matters. Not cryptographic.
class Digest {
 public:
  constexpr void add(std::uint64_t word) {
    state_ = (state_ ^ word) * 0x100000001b3ULL;
    state_ ^= state_ >> 29;
  }
  constexpr void add(std::string_view text) {
    for (char c : text) add(static_cast<std::uint64_t>(static_cast<unsigned char>(c)));
    add(text.size());
  }
  constexpr std::uint64_t value() const {
    std::uint64_t h = state_;
    h ^= h >> 33;
    h *= 0xff51afd7ed558ccdULL;
    h ^= h >> 33;
    return h;
  }
  /// 16 lower-case hexadecimal digits.
  std::string text() const;

 private:
  std::uint64_t state_ = 0xcbf29ce484222325ULL;
};

}  // namespace lockstep
