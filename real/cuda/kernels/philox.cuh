// Philox4x32-10 (Salmon et al., SC 2011, section 3.3): the generator behind core's Rng.
#pragma once

namespace lockstep::cuda {

struct PhiloxBlock {
  unsigned word[4];
};

/// The ten rounds on a counter (least word first) with a key of two words.
__device__ inline PhiloxBlock philox(PhiloxBlock counter, unsigned key0, unsigned key1) {
#pragma unroll
  for (int round = 0; round < 10; ++round) {
    const unsigned long long a = 0xd2511f53ULL * counter.word[0], b = 0xcd9e8d57ULL * counter.word[2];
    counter = PhiloxBlock{{static_cast<unsigned>(b >> 32) ^ counter.word[1] ^ key0, static_cast<unsigned>(b),
                           static_cast<unsigned>(a >> 32) ^ counter.word[3] ^ key1, static_cast<unsigned>(a)}};
    key0 += 0x9e3779b9u;
    key1 += 0xbb67ae85u;
  }
  return counter;
}

}  // namespace lockstep::cuda
