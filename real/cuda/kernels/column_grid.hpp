// The host's side of columns.cuh: grids as pure functions of the shape.
#pragma once

#include "real/cuda/kernels/column_grid.cuh"

namespace lockstep::cuda {

/// Channels per thread: 8 where they divide, else 1.
constexpr int column_vector(int channels) { return channels % 8 == 0 ? 8 : 1; }

namespace detail {

/// Slots of `vector` channels in powers of two: 64 channels to a block in vectors (a line of 128 bytes in 16 bits), 32
/// without.
constexpr int column_width(int channels, int vector) {
  const int most = vector == 8 ? 8 : 32;
  int width = 1;
  while (width < most && width * vector < channels) width *= 2;
  return width;
}

constexpr ColumnGrid column_grid(long long rows, int channels, int vector, int most_parts,
                                 long long least_rows_per_lane) {
  ColumnGrid grid{};
  grid.width = column_width(channels, vector);
  grid.tiles = (channels + grid.width * vector - 1) / (grid.width * vector);
  const long long least = (kColumnThreads / grid.width) * least_rows_per_lane;
  const long long parts = (rows + least - 1) / least;
  grid.rows_per_part = parts <= most_parts ? least : (rows + most_parts - 1) / most_parts;
  grid.parts = static_cast<int>((rows + grid.rows_per_part - 1) / grid.rows_per_part);
  return grid;
}

}  // namespace detail

/// For sums: about 2,048 blocks where there are rows enough, at most 512 parts, at least 4 rows per thread. Pure.
constexpr ColumnGrid sum_grid(long long rows, int channels) {
  const int vector = column_vector(channels);
  const int tile = detail::column_width(channels, vector) * vector;
  const int tiles = (channels + tile - 1) / tile;
  const int parts = 2048 / tiles;
  return detail::column_grid(rows, channels, vector, parts > 512 ? 512 : parts < 1 ? 1 : parts, 4);
}

/// For passes without sums: 8 rows per thread. Pure.
constexpr ColumnGrid apply_grid(long long rows, int channels) {
  return detail::column_grid(rows, channels, column_vector(channels), 65535, 8);
}

}  // namespace lockstep::cuda
