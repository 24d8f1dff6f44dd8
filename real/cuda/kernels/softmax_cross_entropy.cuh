// The loss; softmax_cross_entropy.hpp says what is computed.
#pragma once

#include "real/cuda/kernels/block_sum.cuh"
#include "real/cuda/kernels/element.cuh"
#include "real/cuda/kernels/loss_sums.cuh"

namespace lockstep::cuda {

constexpr int kLossThreads = 128, kLossSumThreads = 256;

/// One block per image. The gradient may lie over the logits: a thread writes what it alone has read last.
template <class T>
__global__ void __launch_bounds__(kLossThreads)
    loss_of_image(int classes, const T* logits, const int* labels, double smoothing, const float* gradient_scale,
                  T* gradient, ImageLoss* per_image) {
  __shared__ double shared[32];
  const int thread = static_cast<int>(threadIdx.x), step = static_cast<int>(blockDim.x), label = labels[blockIdx.x];
  const T* z = logits + static_cast<long long>(blockIdx.x) * classes;
  T* slope = gradient == nullptr ? nullptr : gradient + static_cast<long long>(blockIdx.x) * classes;
  if (label < 0 || label >= classes) {
    for (int k = thread; slope != nullptr && k < classes; k += step) put(0.0f, slope + k);
    if (thread == 0) {
      const double nothing = label < 0 ? 0.0 : sqrt(-1.0);  // clang++ has no nan() on devices
      per_image[blockIdx.x] = ImageLoss{nothing, 0, label < 0 ? 0 : 1};
    }
    return;
  }
  const double right = static_cast<double>(to_float(z[label]));
  double largest = static_cast<double>(to_float(z[thread < classes ? thread : 0])), better = 0;
  for (int k = thread; k < classes; k += step) {
    const double zk = static_cast<double>(to_float(z[k]));
    largest = fmax(largest, zk);
    const bool loses = k < label ? zk < right : zk <= right;
    if (!loses) better += 1;  // also where either is NaN
  }
  largest = block_max(largest, shared);
  better = block_sum(better, shared);
  double sum = 0;
  for (int k = thread; k < classes; k += step) sum += exp(static_cast<double>(to_float(z[k])) - largest);
  const double normaliser = largest + log(block_sum(sum, shared));
  const double share = smoothing / static_cast<double>(classes),
               scale = gradient_scale != nullptr ? static_cast<double>(*gradient_scale) : 1.0;
  double loss = 0;
  for (int k = thread; k < classes; k += step) {
    const double log_p = static_cast<double>(to_float(z[k])) - normaliser,
                 target = (k == label ? 1 - smoothing : 0.0) + share;
    if (target > 0) loss -= target * log_p;
    if (slope != nullptr) put(static_cast<float>((exp(log_p) - target) * scale), slope + k);
  }
  loss = block_sum(loss, shared);
  if (thread == 0) per_image[blockIdx.x] = ImageLoss{loss, better > 0 ? 0 : 1, 1};
}

/// One block adds the images to the sums.
__global__ void __launch_bounds__(kLossSumThreads) loss_sums(int images, const ImageLoss* per_image, LossSums* sums) {
  __shared__ double shared[32];
  double loss = 0, correct = 0, counted = 0;
  for (int i = static_cast<int>(threadIdx.x); i < images; i += static_cast<int>(blockDim.x)) {
    loss += per_image[i].loss;
    correct += per_image[i].correct;
    counted += per_image[i].counted;
  }
  loss = block_sum(loss, shared);
  correct = block_sum(correct, shared);
  counted = block_sum(counted, shared);
  if (threadIdx.x != 0) return;
  sums->loss += loss;
  sums->correct += static_cast<long long>(correct);
  sums->counted += static_cast<long long>(counted);
}

}  // namespace lockstep::cuda
