// Dropout; dropout.hpp says what is computed.
#pragma once

#include "real/cuda/kernels/element.cuh"
#include "real/cuda/kernels/philox.cuh"

namespace lockstep::cuda {

/// Eight values per thread in the order of memory. A block of random words covers 128 values of an image in
/// channel-first order: where the field is one pixel a thread draws one block, else one per value.
template <class T>
__global__ void dropout_kernel(int images, long long pixels, int channels, unsigned key0, unsigned key1,
                               const long long* position, const T* x, T* y, int add) {
  const long long per_image = pixels * channels, n = images * per_image, first = first_of_eight();
  long long drawn_image = -1, drawn_block = -1;
  PhiloxBlock random{};
  for (long long i = first; i < first + 8 && i < n; ++i) {
    const long long image = i / per_image, within = i % per_image;
    const long long k = within % channels * pixels + within / channels;
    if (image != drawn_image || k / 128 != drawn_block) {
      drawn_image = image;
      drawn_block = k / 128;
      const unsigned long long block = static_cast<unsigned long long>(drawn_block),
                               index = static_cast<unsigned long long>(*position + image);
      random = philox(PhiloxBlock{{static_cast<unsigned>(block), static_cast<unsigned>(block >> 32),
                                   static_cast<unsigned>(index), static_cast<unsigned>(index >> 32)}},
                      key0, key1);
    }
    const int word = static_cast<int>(k / 32 % 4);
    // Not random.word[word]: an index unknown to the compiler would put the words into local memory.
    const unsigned bits = word == 0   ? random.word[0]
                          : word == 1 ? random.word[1]
                          : word == 2 ? random.word[2]
                                      : random.word[3];
    const float kept = (bits >> (k % 32) & 1u) != 0 ? 2.0f * to_float(x[i]) : 0.0f;
    put(add != 0 ? to_float(y[i]) + kept : kept, y + i);
  }
}

}  // namespace lockstep::cuda
