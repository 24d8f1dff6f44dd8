#include <string>

#include "core/base/digest.hpp"
#include "real/cuda/kernels/dropout.hpp"

namespace lockstep::cuda {

DropoutKey dropout_key(std::uint64_t seed, std::string_view layer) {
  Digest purpose;
  purpose.add("dropout " + std::string(layer));
  const std::uint64_t key = seed ^ purpose.value();
  return {static_cast<unsigned>(key), static_cast<unsigned>(key >> 32)};
}

}  // namespace lockstep::cuda
