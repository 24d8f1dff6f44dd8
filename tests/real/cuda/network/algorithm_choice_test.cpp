// Choosing algorithms, against the stand-in of cuDNN: one deterministic algorithm, number 1, in every direction; its
// data pass wants 300 kB of workspace.
#include "real/cuda/network/algorithm_choice.hpp"

#include <gtest/gtest.h>

#include "core/base/error.hpp"

namespace lockstep::cuda {
namespace {

struct Problem {
  explicit Problem(Direction d) : direction(d) {
    layer.name = "layer1.0.conv1";
    layer.r = layer.s = 3;
    layer.pad = 1;
  }
  ConvolutionProblem get() const { return {direction, layer.name, "n2 c8", x, y, w, convolution}; }
  Direction direction;
  Layer layer;
  TensorDescriptor x{"x", Element::F16, 2, {8, 6, 6}}, y{"y", Element::F16, 2, {16, 6, 6}};
  FilterDescriptor w{"w", Element::F16, 16, 8, 3, 3};
  ConvolutionDescriptor convolution = [] {
    Layer l;
    l.pad = 1;
    return ConvolutionDescriptor(l);
  }();
};

constexpr ChoicePolicy kPolicy{Precision::Fp16, true, std::size_t{1} << 20};

TEST(AlgorithmChoice, TakesWhatFitsAndRemembersIt) {
  const Handles handles(nullptr);
  for (const Direction d : {Direction::Forward, Direction::BackwardData, Direction::BackwardWeights}) {
    AlgorithmCache cache(handles.environment());
    const Problem problem(d);
    const AlgorithmChoice choice = choose_algorithm(handles, problem.get(), kPolicy, {}, cache);
    EXPECT_EQ(choice.algorithm, 1);
    EXPECT_EQ(choice.math, CUDNN_TENSOR_OP_MATH);
    EXPECT_GE(choice.workspace_bytes, 100'000u);
    EXPECT_EQ(cache.size(), 1u);
    EXPECT_EQ(choose_algorithm(handles, problem.get(), kPolicy, {}, cache), choice);
    EXPECT_EQ(cache.size(), 1u);
  }
}

TEST(AlgorithmChoice, MathFollowsThePrecision) {
  const Handles handles(nullptr);
  const Problem problem(Direction::Forward);
  ChoicePolicy policy = kPolicy;
  for (const auto& [precision, math] : {std::pair{Precision::Fp32, CUDNN_FMA_MATH},
                                        {Precision::Tf32, CUDNN_DEFAULT_MATH},
                                        {Precision::Bf16, CUDNN_TENSOR_OP_MATH}}) {
    AlgorithmCache cache(handles.environment());
    policy.precision = precision;
    EXPECT_EQ(choose_algorithm(handles, problem.get(), policy, {}, cache).math, math);
  }
}

TEST(AlgorithmChoice, ACachedChoiceThatCudnnRefusesIsMadeAnew) {
  const Handles handles(nullptr);
  const Problem problem(Direction::BackwardData);
  AlgorithmCache cache(handles.environment());
  const AlgorithmChoice good = choose_algorithm(handles, problem.get(), kPolicy, {}, cache);
  const std::string text = cache.text();
  const std::string key = text.substr(text.find('\n') + 1, text.find('\t') - text.find('\n') - 1);
  cache.insert(key, {5, CUDNN_TENSOR_OP_MATH, 1, 1});
  EXPECT_EQ(choose_algorithm(handles, problem.get(), kPolicy, {}, cache), good);
  EXPECT_EQ(cache.text(), text);
}

TEST(AlgorithmChoice, NothingWithinTheWorkspaceNamesTheLayer) {
  const Handles handles(nullptr);
  const Problem problem(Direction::BackwardData);
  AlgorithmCache cache(handles.environment());
  ChoicePolicy policy = kPolicy;
  policy.workspace_limit = 200'000;
  try {
    choose_algorithm(handles, problem.get(), policy, {}, cache);
    FAIL() << "300 kB do not fit";
  } catch (const BackendError& e) {
    EXPECT_NE(std::string(e.what()).find("layer1.0.conv1: no deterministic algorithm"), std::string::npos) << e.what();
  }
  EXPECT_EQ(cache.size(), 0u);
}

TEST(AlgorithmChoice, Text) {
  EXPECT_EQ(algorithm_text(Direction::Forward, {1, CUDNN_TENSOR_OP_MATH, 12'300'000, 0.041f}),
            "IMPLICIT_PRECOMP_GEMM, tensor op, 12.3 MB, 0.041 ms");
  EXPECT_EQ(algorithm_text(Direction::BackwardWeights, {3, CUDNN_FMA_MATH, 0, -1}),
            "ALGO_3, fma, 0.0 MB, by heuristics");
  EXPECT_EQ(algorithm_text(Direction::BackwardData, {99, 0, 0, -1}), "99, default, 0.0 MB, by heuristics");
}

}  // namespace
}  // namespace lockstep::cuda
