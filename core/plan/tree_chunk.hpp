// How much a double tree passes on at a time.
#pragma once

#include <cstdint>

#include "core/base/units.hpp"

namespace lockstep {

/// Bytes, `largest` halved any number of times: long chunks waste the time in which a tree of `depth` levels fills, short ones the messages.
/// So they are halved until each of `channels` has some for every level of its share of `size`, but not below 32 KiB. NCCL since 2.4
/// (NVIDIA/nccl, src/enqueue.cc) for simple messages; taken for LL128 too, whose rule of 2.8 is alike (memory).
/// Preconditions: largest > 0, channels >= 1, depth >= 0. Pure.
std::int64_t tree_chunk(Bytes size, Bytes largest, int channels, int depth);

}  // namespace lockstep
