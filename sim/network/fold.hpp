// What a folded simulation leaves out: which ranks stand for which, and what a message of theirs shares its links with.
#pragma once

#include <cstdint>
#include <unordered_map>
#include <vector>

#include "core/base/error.hpp"

namespace lockstep::sim {

/// Classes of ranks, one of each simulated. Made by exact_fold(); the engine only looks things up.
struct Fold {
  /// The links of a representative's message, each the one that stands for its class, and how many messages of its
  /// sender's class cross it at the same time.
  struct Path {
    std::vector<std::int32_t> links, counts;
  };

  std::vector<int> representative;                ///< by rank; of a representative: itself
  std::vector<int> simulated;                     ///< the representatives, ascending
  std::unordered_map<std::uint64_t, Path> paths;  ///< by key() of a representative and its real peer

  static std::uint64_t key(int from, int to) {
    return static_cast<std::uint64_t>(from) << 32 | static_cast<std::uint32_t>(to);
  }
  bool simulates(int rank) const { return representative[static_cast<std::size_t>(rank)] == rank; }
  const Path& path(int from, int to) const {
    const auto it = paths.find(key(from, to));
    LOCKSTEP_EXPECTS(it != paths.end());
    return it->second;
  }
};

}  // namespace lockstep::sim
