// A whole training step on processors, and its parts: how long each kind of layer takes. Google Benchmark; arguments: images, threads.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <chrono>
#include <memory>

#include "core/base/rng.hpp"
#include "core/model/zoo.hpp"
#include "core/optim/optimizer.hpp"
#include "real/cpu/network.hpp"
#include "real/tensors/initialise.hpp"

namespace lockstep {
namespace {

struct Bench {
  Bench(const char* model, std::int64_t images, int threads, Precision precision, bool direct)
      : graph(std::make_shared<const ModelGraph>(fuse(build_model(model)))),
        weights(*graph),
        gradients(*graph),
        velocity(*graph),
        statistics(*graph) {
    initialise(*graph, 1, {}, weights);
    NetworkOptions options;
    options.threads = threads;
    options.precision = precision;
    options.deterministic = direct;
    network = std::make_unique<Network>(graph, images, options, statistics);
    network->load_weights(weights);
    Rng rng(2, "bench");
    for (float& v : network->input()) v = static_cast<float>(rng.uniform());
    for (auto& label : network->labels()) label = static_cast<std::int32_t>(rng.below(10));
  }
  void step([[maybe_unused]] int threads) {
    network->begin(0);
    for (const Layer& l : graph->layers) network->forward(l.id);
    for (auto l = graph->layers.rbegin(); l != graph->layers.rend(); ++l) network->backward(l->id, gradients, false);
    const OptimizerSpec optimizer;
    const StepValues values = step_values(optimizer, 0.1, 1e-6, 1e-4, 1);
    const auto count = static_cast<int>(graph->tensors.size());
#pragma omp parallel for schedule(dynamic) num_threads(threads)
    for (int t = 0; t < count; ++t)
      update_tensor<float>(optimizer, graph->tensors[static_cast<std::size_t>(t)].role, false, values,
                           weights[TensorId(t)], gradients[TensorId(t)], velocity[TensorId(t)]);
    network->load_weights(weights);
  }
  std::shared_ptr<const ModelGraph> graph;
  TensorSet weights, gradients, velocity;
  NormStatistics statistics;
  std::unique_ptr<Network> network;
};

void training_step(benchmark::State& state, const char* model, Precision precision, bool direct) {
  const auto images = state.range(0);
  const auto threads = static_cast<int>(state.range(1));
  Bench bench(model, images, threads, precision, direct);
  bench.step(threads);
  double best = 1e9;  // other load on the machine lengthens the mean, not the best
  for (auto _ : state) {
    const auto begin = std::chrono::steady_clock::now();
    bench.step(threads);
    best = std::min(best, std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count());
  }
  state.counters["best_ms"] = best * 1e3;
  state.counters["images/s"] = benchmark::Counter(
      static_cast<double>(images * static_cast<std::int64_t>(state.iterations())), benchmark::Counter::kIsRate);
}

// Direct algorithms, or those that oneDNN chooses.
#define STEP(name, model, precision, direct, images)               \
  BENCHMARK_CAPTURE(training_step, name, model, precision, direct) \
      ->Args({images, 1})                                          \
      ->Args({images, 2})                                          \
      ->Unit(benchmark::kMillisecond)                              \
      ->UseRealTime()
STEP(resnet20_fp32_direct, "resnet20", Precision::Fp32, true, 128);
STEP(resnet20_fp32_auto, "resnet20", Precision::Fp32, false, 128);
STEP(resnet20_bf16_direct, "resnet20", Precision::Bf16, true, 128);
STEP(resnet50_fp32_direct, "resnet50", Precision::Fp32, true, 16);
STEP(resnet50_fp32_auto, "resnet50", Precision::Fp32, false, 16);
STEP(resnet50_bf16_direct, "resnet50", Precision::Bf16, true, 16);
#undef STEP

}  // namespace
}  // namespace lockstep

BENCHMARK_MAIN();
