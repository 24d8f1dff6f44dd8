#include "real/cpu/network.hpp"

#include <omp.h>

#include <algorithm>
#include <exception>

#include <fmt/format.h>

#include "core/base/error.hpp"
#include "real/cpu/layer.hpp"

namespace lockstep {

struct Network::Impl {
  Impl(std::shared_ptr<const ModelGraph> g, std::int64_t n, const NetworkOptions& o, NormStatistics& statistics)
      : graph(std::move(g)),
        options(o),
        context(options, n),
        labels(static_cast<std::size_t>(n), -1),
        values(graph->layers.size()) {
    context.statistics = &statistics;
    omp_set_num_threads(options.threads);
    const Shape shape = graph->input();
    input = context.allocate(
        {{n, shape.c, shape.h, shape.w}, dnnl::memory::data_type::f32, dnnl::memory::format_tag::nchw});
    values[0].data = input;
    std::vector<int> readers(graph->layers.size());
    for (const Layer& layer : graph->layers) {
      for (const LayerId in : layer.inputs) ++readers[in.index()];
    }
    for (const Layer& layer : graph->layers) {
      layers.push_back(make({context, *graph, layer, values}));
      if (!context.training()) retire_inputs(layer, readers);
    }
    if (!context.training()) return;
    for (auto layer = layers.rbegin(); layer != layers.rend(); ++layer) {
      if (*layer) (*layer)->build_backward(context);
    }
  }

  /// Gives back what this layer reads as the last, unless its output is the same memory.
  void retire_inputs(const Layer& layer, std::vector<int>& readers) {
    for (const LayerId in : layer.inputs) {
      const dnnl::memory& data = values[in.index()].data;
      if (--readers[in.index()] == 0 && data.get_data_handle() != values[layer.id.index()].data.get_data_handle())
        context.pool.give_back(data);
    }
  }

  std::unique_ptr<cpu::LayerRun> make(const cpu::Building& b) {
    switch (b.layer.kind) {
      case LayerKind::Input: return nullptr;
      case LayerKind::Conv: return cpu::make_convolution(b);
      case LayerKind::BatchNorm: return cpu::make_batch_norm(b);
      case LayerKind::Relu: return cpu::make_relu(b);
      case LayerKind::Add: return cpu::make_add(b);
      case LayerKind::MaxPool:
      case LayerKind::AvgPool: return cpu::make_pooling(b);
      case LayerKind::Lrn: return cpu::make_lrn(b);
      case LayerKind::Dropout: return cpu::make_dropout(b);
      case LayerKind::Linear: return cpu::make_linear(b);
      case LayerKind::SoftmaxCrossEntropy: {
        auto made = cpu::make_loss(b, labels);
        loss = made.get();
        return made;
      }
    }
    return nullptr;
  }

  /// oneDNN's errors become ours, with the layer's name.
  template <class Work>
  void guarded(LayerId layer, const char* doing, Work work) {
    try {
      work();
    } catch (const dnnl::error& e) {
      throw BackendError(fmt::format("oneDNN failed in {} of {}: {} (status {})", doing, graph->layer(layer).name,
                                     e.message, static_cast<int>(e.status)));
    }
  }

  std::shared_ptr<const ModelGraph> graph;
  NetworkOptions options;
  cpu::Context context;
  std::vector<std::int32_t> labels;
  std::vector<cpu::Value> values;
  dnnl::memory input;
  std::vector<std::unique_ptr<cpu::LayerRun>> layers;
  cpu::LossRun* loss = nullptr;
};

Network::Network(std::shared_ptr<const ModelGraph> graph, std::int64_t images, const NetworkOptions& options,
                 NormStatistics& statistics) {
  LOCKSTEP_EXPECTS(images >= 1 && options.threads >= 1);
  if (options.precision != Precision::Fp32 && options.precision != Precision::Bf16)
    throw ConfigError("run file", "training.precision", "processors compute in fp32 or bf16");
  try {
    impl_ = std::make_unique<Impl>(std::move(graph), images, options, statistics);
  } catch (const dnnl::error& e) {
    throw BackendError(
        fmt::format("oneDNN failed to build the network: {} (status {})", e.message, static_cast<int>(e.status)));
  }
}

Network::~Network() = default;

std::int64_t Network::images() const { return impl_->context.images; }
std::span<float> Network::input() {
  const auto elements = static_cast<std::size_t>(impl_->context.images * impl_->graph->input().elements());
  return {static_cast<float*>(impl_->input.get_data_handle()), elements};
}
std::span<std::int32_t> Network::labels() { return impl_->labels; }

void Network::load_weights(const TensorSet& weights) {
  // One thread per layer: waking the threads for every little tensor costs more than copying it.
  const auto layers = static_cast<int>(impl_->layers.size());
  std::exception_ptr failed;
#pragma omp parallel for schedule(dynamic) num_threads(impl_->options.threads)
  for (int i = 0; i < layers; ++i) {
    try {
      if (auto& run = impl_->layers[static_cast<std::size_t>(i)])
        impl_->guarded(LayerId(i), "loading the weights", [&] { run->load_weights(impl_->context, weights); });
    } catch (...) {
#pragma omp critical
      failed = std::current_exception();
    }
  }
  if (failed) std::rethrow_exception(failed);
}

void Network::begin(std::int64_t position) {
  omp_set_num_threads(impl_->options.threads);  // of the calling thread
  impl_->context.position = position;
}

void Network::forward(LayerId layer) {
  if (auto& run = impl_->layers[layer.index()]) impl_->guarded(layer, "forward", [&] { run->forward(impl_->context); });
}

void Network::backward(LayerId layer, TensorSet& gradients, bool add) {
  LOCKSTEP_EXPECTS(impl_->context.training());
  if (auto& run = impl_->layers[layer.index()])
    impl_->guarded(layer, "backward", [&] { run->backward(impl_->context, gradients, add); });
}

BatchResult Network::result() const { return impl_->loss->result(); }

std::string processor_description(int threads) {
  const dnnl_version_t* v = dnnl_version();
  const char* isa = "generic";
  switch (dnnl::get_effective_cpu_isa()) {
    case dnnl::cpu_isa::sse41: isa = "sse41"; break;
    case dnnl::cpu_isa::avx: isa = "avx"; break;
    case dnnl::cpu_isa::avx2: isa = "avx2"; break;
    case dnnl::cpu_isa::avx512_core: isa = "avx512_core"; break;
    case dnnl::cpu_isa::avx512_core_vnni: isa = "avx512_core_vnni"; break;
    case dnnl::cpu_isa::avx512_core_bf16: isa = "avx512_core_bf16"; break;
    case dnnl::cpu_isa::avx512_core_amx: isa = "avx512_core_amx"; break;
    default: break;
  }
  return fmt::format("oneDNN {}.{}.{}, {}, {} thread{}", v->major, v->minor, v->patch, isa, threads,
                     threads == 1 ? "" : "s");
}

}  // namespace lockstep
