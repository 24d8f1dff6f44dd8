// Names for things that are counted: a Rank is not a Layer, though both are integers.
#pragma once

#include <compare>
#include <cstdint>
#include <functional>

namespace lockstep {

/// An index into one kind of table. `-1` means "none". Ordered and hashable; arithmetic is deliberately absent.
template <class Tag>
struct Id {
  std::int32_t value = -1;
  constexpr Id() = default;
  explicit constexpr Id(std::int64_t v) : value(static_cast<std::int32_t>(v)) {}
  constexpr explicit operator bool() const { return value >= 0; }
  constexpr std::size_t index() const { return static_cast<std::size_t>(value); }
  constexpr auto operator<=>(const Id&) const = default;
};

using Rank = Id<struct RankTag>;            ///< a process (one GPU) in the whole job, 0 .. world size - 1
using LocalRank = Id<struct LocalRankTag>;  ///< a GPU within its node
using LayerId = Id<struct LayerTag>;        ///< a layer of a ModelGraph, in forward order
using TensorId = Id<struct TensorTag>;      ///< a parameter tensor of a ModelGraph, in forward order
using BucketId = Id<struct BucketTag>;      ///< a gradient bucket, in the order its allreduce is issued
using OpId = Id<struct OpTag>;              ///< an operation of a StepProgram

}  // namespace lockstep

template <class Tag>
struct std::hash<lockstep::Id<Tag>> {
  std::size_t operator()(lockstep::Id<Tag> id) const noexcept { return std::hash<std::int32_t>{}(id.value); }
};
