// How the threads of columns.cuh share [rows, channels]. Plain data, shared by host and device.
#pragma once

namespace lockstep::cuda {

constexpr int kColumnThreads = 256;
constexpr int kFinalChannels = 32, kFinalThreads = 1024;

struct ColumnGrid {
  int width;  ///< power of two, at most 32
  int tiles;  ///< blocks over the channels: gridDim.x
  int parts;  ///< blocks over the rows: gridDim.y
  long long rows_per_part;
};

}  // namespace lockstep::cuda
