#include "core/base/error.hpp"
#include "real/cuda/kernels/optimizer.hpp"

namespace lockstep::cuda {

std::vector<TensorChunk> chunk_table(std::span<const long long> elements) {
  std::vector<TensorChunk> chunks;
  for (std::size_t t = 0; t < elements.size(); ++t) {
    LOCKSTEP_EXPECTS(elements[t] >= 0);
    for (long long offset = 0; offset < elements[t]; offset += kChunkElements)
      chunks.push_back({static_cast<int>(t), offset});
  }
  return chunks;
}

}  // namespace lockstep::cuda
