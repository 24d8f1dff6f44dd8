// What a GPU file says: figures of one GPU, each with its source.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "core/base/units.hpp"
#include "core/spec/run_spec.hpp"
#include "core/spec/sourced.hpp"

namespace lockstep {

/// Published training throughput (or step time) of ONE GPU: fixes the overall efficiency for (framework, precision).
/// Never a multi-node result.
struct Anchor {
  std::string framework;  ///< "mxnet-20.12"
  std::string model;      ///< zoo name, usually resnet50
  Precision precision = Precision::Fp16;
  std::int64_t batch = 0;  ///< images per GPU
  Sourced<double> images_per_second;
  bool channels_first = false;  ///< NCHW, in fp16 well below NHWC on tensor cores: stands only for runs that name it
};

/// One row of a convolution table: times of one shape at one batch. Zero time = not measured.
struct ConvTiming {
  Precision precision = Precision::Fp32;
  int n = 0, c = 0, h = 0, w = 0, k = 0, r = 0, s = 0, stride = 1, pad_h = 0, pad_w = 0;
  Time forward, backward_data, backward_weight;
};

/// One operation of one model at one batch, measured on this GPU or processor by `lockstep calibrate`. `operation` is a layer of the
/// fused graph, or "inference" (a whole evaluation pass), "update sgd", "update nesterov", "update lars" (a whole update, at batch 1
/// by convention): these have `forward` only.
struct ProfileRow {
  std::string model;   ///< ModelGraph::name
  int image_size = 0;  ///< pixels, square
  Precision precision = Precision::Fp32;
  std::int64_t batch = 0;
  std::string operation;
  Time forward, backward;
};

struct GpuSpec {
  std::string name;   ///< file stem
  std::string title;  ///< "Tesla V100 SXM2 16 GB"
  int compute_capability = 70;
  Sourced<FlopRate> fp32_peak;
  Sourced<FlopRate> half_peak;  ///< tensor cores where there are some, else fp16 units
  Sourced<Bytes> memory;
  Sourced<Bandwidth> memory_peak;
  Sourced<Bandwidth> memory_achieved;  ///< reads + writes of a copy
  Sourced<int> multiprocessors;        ///< datasheet; 0 = a processor, or unknown: no waves (sim/device/wave_model.hpp)
  Sourced<double> tail_waves;   ///< waves per kernel that compute nothing: the last one's empty half, start and drain
  Sourced<Time> kernel_gap;     ///< least time from one kernel's start to the next one's
  Sourced<Time> dispatch;       ///< host time to issue one operation (a step is never faster than operations x this)
  Sourced<double> step_jitter;  ///< sigma of the step's compute time, relative
  Sourced<double> gpu_spread;   ///< sigma of the fixed speed between equal GPUs, relative
  std::vector<Anchor> anchors;
  std::vector<ConvTiming> convolutions;  ///< read from the CSV that the file names
  std::string convolutions_source;
  std::vector<ProfileRow>
      profile;  ///< read from the CSV that the file names; goes before everything else where it has the model
  std::string profile_source;
};

bool is_half(Precision precision);       ///< stored in two bytes
int element_bytes(Precision precision);  ///< of activations and gradients: 2 or 4

/// What the GPU's units compute for a precision: fp32 for TF32 and BF16 before Ampere.
Precision computed_as(const GpuSpec& gpu, Precision precision);
/// Peak of a precision: TF32 on tensor cores runs at half of the half-precision rate (NVIDIA A100: 156 of 312 TFLOP/s).
FlopRate peak_of(const GpuSpec& gpu, Precision precision);

}  // namespace lockstep
