// How long a GPU takes for each operation of a training step.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/model/graph.hpp"
#include "core/spec/gpu_spec.hpp"
#include "sim/device/conv_model.hpp"
#include "sim/device/profile.hpp"

namespace lockstep::sim {

struct LayerTime {
  Time forward;
  Time backward;  ///< data and weight gradient
};

/// Times of one GPU for one (framework, precision). A model that was profiled on the device takes the measured times as they are (profile.hpp);
/// any other is computed and anchored on one published single-GPU throughput:
///
///   convolution, pass, N:  conv_model.hpp (measured rows, else a fitted efficiency; waves over the batch);
///   other layers:          kernel gap + max(FLOPs / fp32 peak, bytes / achieved memory bandwidth);
///   every kernel costs at least the GPU's kernel gap, and a layer at least its operations x dispatch;
///   all times but pack_time() are then multiplied by one factor, chosen so that the anchor's throughput is met at the anchor's batch, update included.
class GpuModel {
 public:
  /// `framework` picks the anchor of that precision (find_anchor). Without any anchor of the precision the factor of nearest_anchor()
  /// is taken, or 1, and `anchored()` is false (band 25 %). Throws ConfigError (key "cluster.framework") for an unknown one.
  /// `small_batch` off leaves the waves of wave_model.hpp out and lets a kernel's gap hide behind its work.
  GpuModel(const GpuSpec& gpu, Precision precision, const std::string& framework, bool small_batch = true);

  /// One entry per layer of a fused graph. batch >= 1 images on this GPU.
  std::vector<LayerTime> layer_times(const ModelGraph& fused, std::int64_t batch) const;
  /// Forward only, batch norm in inference form.
  Time inference_time(const ModelGraph& fused, std::int64_t batch) const;
  /// Momentum update of `elements` parameters in `tensors` tensors with fp32 master weights; LARS adds norms, per layer or batched.
  Time update_time(std::int64_t elements, int tensors, OptimizerKind kind, NormKernels norms) const;
  /// The same for parameters of this model: their share of the measured update where it was profiled.
  Time update_time(const ModelGraph& fused, std::int64_t elements, int tensors, OptimizerKind kind,
                   NormKernels norms) const;
  /// Copying gradients in and out of a bucket buffer (cast included).
  Time pack_time(Bytes size, int tensors) const;
  /// Images per second of this GPU alone, update included.
  double images_per_second(const ModelGraph& fused, std::int64_t batch) const;

  double anchor_factor() const;  ///< how much slower (>1) or faster than the bare model the anchor is
  bool anchored() const;
  const Anchor* anchor() const;     ///< null when unanchored
  std::string description() const;  ///< one line: what times come from, with sources

 private:
  Time raw_kernel(Time work, int kernels) const;
  std::vector<LayerTime> raw_layer_times(const ModelGraph& fused, std::int64_t batch) const;
  Time raw_update_time(std::int64_t elements, int tensors, OptimizerKind kind, NormKernels norms) const;

  GpuSpec gpu_;
  Precision precision_;
  bool waves_;  ///< small batches are modelled: asked for, and the device has multiprocessors
  ConvModel convolutions_;
  Profile profile_;
  int anchor_ = -1;         ///< index into gpu_.anchors
  bool exact_ = false;      ///< the anchor is of this precision
  std::string stands_for_;  ///< the framework asked for, where its nearest release is the anchor
  double factor_ = 1;
};

}  // namespace lockstep::sim
