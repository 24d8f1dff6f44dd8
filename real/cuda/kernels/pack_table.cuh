// What packing reads in device memory. Plain data, shared by host and device.
#pragma once

namespace lockstep::cuda {

/// A contiguous piece of fp32 values and its place in the bucket, in elements.
struct PackEntry {
  float* data;
  long long elements;
  long long offset;
};

}  // namespace lockstep::cuda
