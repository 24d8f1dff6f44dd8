#include "real/cuda/network/algorithm_choice.hpp"

#include <fmt/format.h>

#include <array>
#include <vector>

#include "core/base/error.hpp"

namespace lockstep::cuda {

namespace {

/// What cuDNN says of one algorithm, in any direction.
struct Candidate {
  int algorithm = 0, math = 0;
  bool usable = true, deterministic = true;
  float milliseconds = -1;
};

template <class Perf>
std::vector<Candidate> candidates(const Perf* found, int count, bool measured) {
  std::vector<Candidate> out;
  out.reserve(static_cast<std::size_t>(count));
  for (int i = 0; i < count; ++i) {
    out.push_back({static_cast<int>(found[i].algo), static_cast<int>(found[i].mathType),
                   found[i].status == CUDNN_STATUS_SUCCESS, found[i].determinism == CUDNN_DETERMINISTIC,
                   measured ? found[i].time : -1.0f});
  }
  return out;
}

constexpr int kMost = 24;  // more than any direction has algorithms times math types

/// What a list of the library gave. A status other than success leaves it empty: others are asked then.
struct Listed {
  cudnnStatus_t status = CUDNN_STATUS_SUCCESS;
  std::vector<Candidate> candidates;
};

template <class Perf, class Ask>
Listed listed(bool measured, Ask ask) {
  std::array<Perf, kMost> found{};
  int count = 0;
  const cudnnStatus_t status = ask(&count, found.data());
  if (status != CUDNN_STATUS_SUCCESS) count = 0;
  return {status, candidates(found.data(), count, measured)};
}

/// The library's order of preference, without running anything.
Listed heuristics(const Handles& h, const ConvolutionProblem& p) {
  switch (p.direction) {
    case Direction::Forward:
      return listed<cudnnConvolutionFwdAlgoPerf_t>(false, [&](int* count, auto* found) {
        return cudnnGetConvolutionForwardAlgorithm_v7(h.cudnn(), p.x, p.weights, p.convolution, p.y, kMost, count,
                                                      found);
      });
    case Direction::BackwardData:
      return listed<cudnnConvolutionBwdDataAlgoPerf_t>(false, [&](int* count, auto* found) {
        return cudnnGetConvolutionBackwardDataAlgorithm_v7(h.cudnn(), p.weights, p.y, p.convolution, p.x, kMost, count,
                                                           found);
      });
    case Direction::BackwardWeights: break;
  }
  return listed<cudnnConvolutionBwdFilterAlgoPerf_t>(false, [&](int* count, auto* found) {
    return cudnnGetConvolutionBackwardFilterAlgorithm_v7(h.cudnn(), p.x, p.y, p.convolution, p.weights, kMost, count,
                                                         found);
  });
}

/// Every algorithm run once on the trial buffers, the fastest first.
Listed measured(const Handles& h, const ConvolutionProblem& p, const TrialBuffers& t, std::size_t workspace) {
  switch (p.direction) {
    case Direction::Forward:
      return listed<cudnnConvolutionFwdAlgoPerf_t>(true, [&](int* count, auto* found) {
        return cudnnFindConvolutionForwardAlgorithmEx(h.cudnn(), p.x, t.x, p.weights, t.weights, p.convolution, p.y,
                                                      t.y, kMost, count, found, t.workspace, workspace);
      });
    case Direction::BackwardData:
      return listed<cudnnConvolutionBwdDataAlgoPerf_t>(true, [&](int* count, auto* found) {
        return cudnnFindConvolutionBackwardDataAlgorithmEx(h.cudnn(), p.weights, t.weights, p.y, t.y, p.convolution,
                                                           p.x, t.x, kMost, count, found, t.workspace, workspace);
      });
    case Direction::BackwardWeights: break;
  }
  return listed<cudnnConvolutionBwdFilterAlgoPerf_t>(true, [&](int* count, auto* found) {
    return cudnnFindConvolutionBackwardFilterAlgorithmEx(h.cudnn(), p.x, t.x, p.y, t.y, p.convolution, p.weights,
                                                         t.weights, kMost, count, found, t.workspace, workspace);
  });
}

cudnnStatus_t workspace_size(const Handles& h, const ConvolutionProblem& p, int algorithm, std::size_t& bytes) {
  switch (p.direction) {
    case Direction::Forward:
      return cudnnGetConvolutionForwardWorkspaceSize(h.cudnn(), p.x, p.weights, p.convolution, p.y,
                                                     static_cast<cudnnConvolutionFwdAlgo_t>(algorithm), &bytes);
    case Direction::BackwardData:
      return cudnnGetConvolutionBackwardDataWorkspaceSize(
          h.cudnn(), p.weights, p.y, p.convolution, p.x, static_cast<cudnnConvolutionBwdDataAlgo_t>(algorithm), &bytes);
    case Direction::BackwardWeights: break;
  }
  return cudnnGetConvolutionBackwardFilterWorkspaceSize(
      h.cudnn(), p.x, p.y, p.convolution, p.weights, static_cast<cudnnConvolutionBwdFilterAlgo_t>(algorithm), &bytes);
}

/// What exists everywhere: tried when the library's list has nothing that fits. The last of each direction is not
/// deterministic.
std::vector<Candidate> last_resorts(Direction direction, int math) {
  switch (direction) {
    case Direction::Forward:
      return {{CUDNN_CONVOLUTION_FWD_ALGO_IMPLICIT_PRECOMP_GEMM, math},
              {CUDNN_CONVOLUTION_FWD_ALGO_IMPLICIT_GEMM, math}};
    case Direction::BackwardData:
      return {{CUDNN_CONVOLUTION_BWD_DATA_ALGO_1, math}, {CUDNN_CONVOLUTION_BWD_DATA_ALGO_0, math, true, false}};
    case Direction::BackwardWeights: break;
  }
  return {{CUDNN_CONVOLUTION_BWD_FILTER_ALGO_1, math}, {CUDNN_CONVOLUTION_BWD_FILTER_ALGO_0, math, true, false}};
}

/// Fp32 never leaves FMA (cuDNN reports "default" for it on devices without TF32); conversions of fp32 to fp16 never
/// happen.
int math_for(Precision precision, int reported) {
  const bool sixteen_bit = storage_of(precision) != Element::F32;
  if (sixteen_bit || (precision == Precision::Tf32 && reported == CUDNN_FMA_MATH)) return reported;
  return cudnn_math(precision);
}

/// Sets the math type and asks for the workspace; false if cuDNN refuses or it is too much.
bool accepted(const Handles& h, const ConvolutionProblem& p, const ChoicePolicy& policy, AlgorithmChoice& choice) {
  check(cudnnSetConvolutionMathType(p.convolution, static_cast<cudnnMathType_t>(choice.math)), p.layer,
        "cudnnSetConvolutionMathType");
  std::size_t bytes = 0;
  if (workspace_size(h, p, choice.algorithm, bytes) != CUDNN_STATUS_SUCCESS) return false;
  choice.workspace_bytes = bytes;
  return bytes <= policy.workspace_limit;
}

}  // namespace

const char* direction_name(Direction direction) {
  switch (direction) {
    case Direction::Forward: return "forward";
    case Direction::BackwardData: return "data";
    case Direction::BackwardWeights: break;
  }
  return "weights";
}

AlgorithmChoice choose_algorithm(const Handles& handles, const ConvolutionProblem& problem, const ChoicePolicy& policy,
                                 const TrialBuffers& trial, AlgorithmCache& cache) {
  const std::string key = fmt::format("{} {} limit{}{}", direction_name(problem.direction), problem.key,
                                      policy.workspace_limit >> 20, policy.deterministic ? " deterministic" : "");
  if (auto known = cache.find(key); known && accepted(handles, problem, policy, *known)) return *known;

  const int wanted = cudnn_math(policy.precision);
  check(cudnnSetConvolutionMathType(problem.convolution, static_cast<cudnnMathType_t>(wanted)), problem.layer,
        "cudnnSetConvolutionMathType");
  Listed all;
  if (!policy.deterministic && trial.x != nullptr) all = measured(handles, problem, trial, policy.workspace_limit);
  if (all.candidates.empty()) all = heuristics(handles, problem);
  for (const Candidate& c : last_resorts(problem.direction, wanted)) all.candidates.push_back(c);
  for (const Candidate& c : all.candidates) {
    if (!c.usable || (policy.deterministic && !c.deterministic)) continue;
    AlgorithmChoice choice{c.algorithm, math_for(policy.precision, c.math), 0, c.milliseconds};
    if (!accepted(handles, problem, policy, choice)) continue;
    cache.insert(key, choice);
    return choice;
  }
  throw BackendError(fmt::format("{}: no {}algorithm of cuDNN for {} within {} MiB of workspace (its list: {})",
                                 problem.layer, policy.deterministic ? "deterministic " : "", key,
                                 policy.workspace_limit >> 20, cudnnGetErrorString(all.status)));
}

std::string algorithm_text(Direction direction, const AlgorithmChoice& choice) {
  static constexpr std::array forward{"IMPLICIT_GEMM", "IMPLICIT_PRECOMP_GEMM", "GEMM", "DIRECT", "FFT", "FFT_TILING",
                                      "WINOGRAD",      "WINOGRAD_NONFUSED"};
  static constexpr std::array data{"ALGO_0", "ALGO_1", "FFT", "FFT_TILING", "WINOGRAD", "WINOGRAD_NONFUSED"};
  static constexpr std::array weights{"ALGO_0",    "ALGO_1", "FFT", "ALGO_3", "WINOGRAD", "WINOGRAD_NONFUSED",
                                      "FFT_TILING"};
  static constexpr std::array maths{"default", "tensor op", "tensor op with conversion", "fma"};
  const auto name = [](const auto& names, int i) {
    return i >= 0 && static_cast<std::size_t>(i) < names.size() ? std::string(names[static_cast<std::size_t>(i)])
                                                                : std::to_string(i);
  };
  const std::string algorithm = direction == Direction::Forward        ? name(forward, choice.algorithm)
                                : direction == Direction::BackwardData ? name(data, choice.algorithm)
                                                                       : name(weights, choice.algorithm);
  const std::string time = choice.milliseconds < 0 ? "by heuristics" : fmt::format("{:.3f} ms", choice.milliseconds);
  return fmt::format("{}, {}, {:.1f} MB, {}", algorithm, name(maths, choice.math),
                     static_cast<double>(choice.workspace_bytes) * 1e-6, time);
}

}  // namespace lockstep::cuda
