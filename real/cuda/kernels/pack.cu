#include "real/cuda/kernels/pack.hpp"

#include "real/cuda/kernels/dispatch.hpp"
#include "real/cuda/kernels/launch.hpp"
#include "real/cuda/kernels/pack.cuh"

namespace lockstep::cuda {

void pack(Element element, const PackTables& tables, float scale, void* bucket, cudaStream_t stream) {
  if (tables.chunk_count == 0) return;
  with_type(element, [&](auto tag) {
    using T = typename decltype(tag)::type;
    launch("pack", pack_kernel<T, true>, cover(tables.chunk_count, 1), kPackThreads, stream, tables.entries,
           tables.chunks, scale, static_cast<T*>(bucket));
  });
}

void unpack(Element element, const PackTables& tables, float scale, const void* bucket, cudaStream_t stream) {
  if (tables.chunk_count == 0) return;
  with_type(element, [&](auto tag) {
    using T = typename decltype(tag)::type;
    // One kernel for both ways: this one only reads the bucket.
    T* wire = const_cast<T*>(static_cast<const T*>(bucket));
    launch("unpack", pack_kernel<T, false>, cover(tables.chunk_count, 1), kPackThreads, stream, tables.entries,
           tables.chunks, scale, wire);
  });
}

}  // namespace lockstep::cuda
