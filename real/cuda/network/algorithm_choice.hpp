// Which of cuDNN's algorithms computes a convolution.
#pragma once

#include <cstddef>
#include <string>

#include "core/spec/run_spec.hpp"
#include "real/cuda/network/algorithm_cache.hpp"
#include "real/cuda/network/descriptors.hpp"
#include "real/cuda/network/handles.hpp"

namespace lockstep::cuda {

enum class Direction { Forward, BackwardData, BackwardWeights };
const char* direction_name(Direction direction);  ///< "forward", "data", "weights"

/// A convolution in one direction. `weights` describes the gradient of the weights too (of the type of x).
struct ConvolutionProblem {
  Direction direction = Direction::Forward;
  const std::string& layer;  ///< for errors
  std::string key;           ///< shape and type, for the cache
  const TensorDescriptor &x, &y;
  const FilterDescriptor& weights;
  const ConvolutionDescriptor& convolution;  ///< of this direction alone: its math type is set
};

struct ChoicePolicy {
  Precision precision = Precision::Fp32;
  bool deterministic = true;
  std::size_t workspace_limit = 0;  ///< bytes
};

/// Real buffers to measure with, or null pointers. What the direction computes is overwritten; values do not matter,
/// but must not be NaN or denormal.
struct TrialBuffers {
  void *x = nullptr, *y = nullptr, *weights = nullptr;
  void* workspace = nullptr;  ///< of ChoicePolicy::workspace_limit bytes
};

/// Leaves the math type of the choice set in `problem.convolution`; the choice's workspace is what cuDNN asks for now.
/// Deterministic: the first deterministic algorithm of cuDNN's heuristics, so that equal machines choose equally
/// (measured times differ from run to run, and with them the bits), else IMPLICIT_PRECOMP_GEMM forward and ALGO_1
/// backward. Otherwise the fastest measured; each measurement takes tens of milliseconds. Both only within the limit of
/// workspace. From the cache where it has the problem and cuDNN still accepts it; else put there. Throws BackendError
/// naming the layer if nothing fits.
AlgorithmChoice choose_algorithm(const Handles& handles, const ConvolutionProblem& problem, const ChoicePolicy& policy,
                                 const TrialBuffers& trial, AlgorithmCache& cache);

/// "IMPLICIT_PRECOMP_GEMM, tensor op, 12.3 MB, 0.041 ms".
std::string algorithm_text(Direction direction, const AlgorithmChoice& choice);

}  // namespace lockstep::cuda
