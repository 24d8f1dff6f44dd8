// Batch normalisation of [rows, channels] (NHWC), joined with an addition and ReLU (Ioffe and Szegedy 2015,
// arXiv:1502.03167).
//
// Pointers are of device memory. x, y, dy, dx and addends: `rows` x `channels` of `element`, aligned to 16 bytes.
// Arrays per channel: fp32.
// Where ReLU cuts is kept as a bit mask, one bit per value in the order of memory (bit i % 8 of byte i / 8), set where
// the value is > 0: backward reads a sixteenth of what the output itself would cost in 16 bits.
// Sums have one fixed order that depends on the shape alone; equal inputs give equal bits. Channels that are a multiple
// of 8 take 16-byte loads; any other number works, more slowly.
#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>

#include "real/cuda/kernels/element.hpp"

namespace lockstep::cuda {

struct BatchNormShape {
  long long rows = 0;  ///< images x height x width, >= 1
  int channels = 0;    ///< >= 1
  Element element = Element::F32;
};

/// Bytes of a ReLU mask.
std::size_t relu_mask_bytes(const BatchNormShape& shape);
/// Scratch of forward and of backward, aligned to 256 bytes; free for others after each call (in stream order).
std::size_t batch_norm_workspace_bytes(const BatchNormShape& shape);

/// `average_*`: moving averages, either both or none: average = momentum x average + (1 - momentum) x batch, with the
/// unbiased variance (rows / (rows - 1); 1 for a single row), as PyTorch does.
struct BatchNormTraining {
  const void* x = nullptr;
  const void* addend = nullptr;  ///< added before ReLU; may be null
  void* y = nullptr;             ///< may be x or addend
  const float *gamma = nullptr, *beta = nullptr;
  float *mean = nullptr,
        *inverse_deviation = nullptr;  ///< kept for backward; 1 / sqrt(variance + epsilon), biased variance
  float *average_mean = nullptr, *average_variance = nullptr;
  unsigned char* relu_mask = nullptr;  ///< ReLU if not null
  double momentum = 0.9, epsilon = 1e-5;
};

/// y = relu((x - mean) inverse_deviation gamma + beta + addend). Three launches: partial sums, final sums, apply.
/// Variance from sums of (x - s) and (x - s)^2, s = the channel's first value: fp32 within a block, fp64 beyond.
/// Relative error of the variance below (1 + k^2) (16 + t) 2^-24, where s is k standard deviations from the mean and a
/// thread sums t rows: at most 4 + rows / 2048 where 8 divides the channels and they are at most 2,048.
/// Throws BackendError if a launch fails, like every function here.
void batch_norm_training(const BatchNormShape& shape, const BatchNormTraining& args, void* workspace,
                         cudaStream_t stream);

struct BatchNormInference {
  const void* x = nullptr;
  const void* addend = nullptr;  ///< may be null
  void* y = nullptr;             ///< may be x or addend
  const float *gamma = nullptr, *beta = nullptr, *average_mean = nullptr, *average_variance = nullptr;
  bool relu = false;
  double epsilon = 1e-5;
};

/// The same with the moving averages in place of the batch's. One launch.
void batch_norm_inference(const BatchNormShape& shape, const BatchNormInference& args, cudaStream_t stream);

/// With d = dy where the mask is set (everywhere without mask):
///   dbeta = sum d,  dgamma = sum d xhat,  dx = gamma inverse_deviation (d - dbeta / rows - xhat dgamma / rows),
///   d_addend = d.
struct BatchNormBackward {
  const void *x = nullptr, *dy = nullptr;
  const unsigned char* relu_mask = nullptr;  ///< null without ReLU
  const float *gamma = nullptr, *mean = nullptr, *inverse_deviation = nullptr;
  float *dgamma = nullptr, *dbeta = nullptr;
  bool add_parameters = false;  ///< dgamma and dbeta are added to what is there; else written
  void* dx = nullptr;           ///< may be dy, unless d_addend is; may be null: only the sums are wanted
  bool add_dx = false;          ///< dx is added to what is there, rounded once
  void* d_addend = nullptr;     ///< may be dy; may be null
  bool add_addend = false;
};

/// Three launches (two where dx and d_addend are null).
void batch_norm_backward(const BatchNormShape& shape, const BatchNormBackward& args, void* workspace,
                         cudaStream_t stream);

}  // namespace lockstep::cuda
