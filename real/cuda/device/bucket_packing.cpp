#include "real/cuda/device/bucket_packing.hpp"

#include <cstddef>

#include "core/base/error.hpp"
#include "real/cuda/kernels/optimizer.hpp"
#include "real/cuda/kernels/pack.hpp"

namespace lockstep::cuda {

namespace {

/// Tables of one bucket in one gradient set.
class Packing {
 public:
  Packing(const DeviceTensorSet& gradients, const Bucket& bucket) {
    std::vector<PackEntry> entries;
    std::vector<long long> elements;
    long long offset = 0;
    const auto piece = [&](float* data, std::size_t n) {
      entries.push_back({data, static_cast<long long>(n), offset});
      elements.push_back(static_cast<long long>(n));
      offset += static_cast<long long>(n);
    };
    for (const TensorId id : bucket.tensors) {
      const TensorPlace& place = gradients.layout()[id];
      if (place.padded == place.channels) {
        piece(gradients[id], place.elements);
      } else {
        for (std::size_t i = 0; i < place.rows * place.pixels; ++i)
          piece(gradients[id] + i * place.padded, place.channels);
      }
    }
    const std::vector<TensorChunk> chunks = chunk_table(elements);
    entries_ = DeviceArray<PackEntry>(entries.size());
    chunks_ = DeviceArray<TensorChunk>(chunks.size());
    check(cudaMemcpy(entries_.data(), entries.data(), entries_.bytes(), cudaMemcpyHostToDevice), "tables of a bucket");
    check(cudaMemcpy(chunks_.data(), chunks.data(), chunks_.bytes(), cudaMemcpyHostToDevice), "tables of a bucket");
    elements_ = offset;
  }
  PackTables tables() const { return {entries_.data(), chunks_.data(), static_cast<int>(chunks_.size())}; }
  std::int64_t elements() const { return elements_; }

 private:
  DeviceArray<PackEntry> entries_;
  DeviceArray<TensorChunk> chunks_;
  std::int64_t elements_ = 0;
};

Element element_of(WireType wire) {
  return wire == WireType::Fp16 ? Element::F16 : wire == WireType::Bf16 ? Element::Bf16 : Element::F32;
}

}  // namespace

std::vector<LaneBucket> packed_buckets(const StepProgram& program, const RunSpec& run,
                                       const std::vector<DeviceTensorSet>& gradients) {
  std::vector<LaneBucket> out = lane_buckets(program, wire_precision(run));
  for (std::size_t b = 0; b < out.size(); ++b) {
    LaneBucket& bucket = out[b];
    bucket.groups = static_cast<int>(gradients.size());
    auto parts = std::make_shared<std::vector<Packing>>();
    for (const DeviceTensorSet& set : gradients) parts->emplace_back(set, program.buckets.buckets[b]);
    LOCKSTEP_EXPECTS(parts->front().elements() == bucket.plan.elements);
    const Element element = element_of(bucket.wire);
    const float scale = element == Element::F32 ? 1.0f : 1.0f / static_cast<float>(program.world_size);
    const std::size_t stride = static_cast<std::size_t>(bucket.plan.elements) * element_bytes(element);
    bucket.pack = [parts, element, scale, stride](void* memory, cudaStream_t stream) {
      auto* to = static_cast<std::byte*>(memory);
      for (const Packing& part : *parts) {
        pack(element, part.tables(), scale, to, stream);
        to += stride;
      }
    };
    bucket.unpack = [parts, element, scale](const void* memory, cudaStream_t stream) {
      unpack(element, parts->front().tables(), 1 / scale, memory, stream);
    };
  }
  return out;
}

}  // namespace lockstep::cuda
