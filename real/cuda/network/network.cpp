#include "real/cuda/network/network.hpp"

#include <algorithm>
#include <limits>

#include "real/cuda/network/layer.hpp"
#include "real/cuda/network/pooling.hpp"

namespace lockstep::cuda {

namespace {

std::unique_ptr<LayerRun> make(const Building& b) {
  switch (b.layer.kind) {
    case LayerKind::Input: return nullptr;
    case LayerKind::Conv: return make_convolution(b);
    case LayerKind::BatchNorm: return make_batch_norm(b);
    case LayerKind::Relu: return make_relu(b);
    case LayerKind::Add: return make_add(b);
    case LayerKind::MaxPool:
    case LayerKind::AvgPool: return make_pooling(b);
    case LayerKind::Lrn: return make_lrn(b);
    case LayerKind::Dropout: return make_dropout(b);
    case LayerKind::Linear: return make_linear(b);
    case LayerKind::SoftmaxCrossEntropy: return make_loss(b);
  }
  return nullptr;
}

int narrowed(std::int64_t n) {
  LOCKSTEP_EXPECTS(n >= 1 && n <= std::numeric_limits<int>::max());
  return static_cast<int>(n);
}

PlanOptions plan_options(std::int64_t images, const NetworkOptions& options, int input_channels) {
  return {images, element_bytes(storage_of(options.precision)), options.mode == NetworkMode::Training, input_channels};
}

int channels_on_device(const ModelGraph& graph, const NetworkOptions& options) {
  if (options.input_channels_padded > 0) {
    LOCKSTEP_EXPECTS(options.input_channels_padded == graph.input().c || can_pad_input(graph));
    return options.input_channels_padded;
  }
  return padded_input_channels(graph, storage_of(options.precision) != Element::F32);
}

/// What measuring algorithms needs while the network is built: a workspace of the limit (or what there is of it), and
/// space for weights.
class Trial {
 public:
  Trial(const ModelGraph& graph, const TensorLayout& layout, NetworkOptions& options) {
    std::size_t most = 0;
    for (const ParamTensor& t : graph.tensors) most = std::max(most, layout[t.id].elements);
    weights_ = DeviceArray<float>(most);
    check(cudaMemset(weights_.data(), 0, weights_.bytes()), "clearing weights");
    std::size_t free = 0, total = 0;
    check(cudaMemGetInfo(&free, &total), "cudaMemGetInfo");
    options.workspace_limit = std::min(options.workspace_limit, free / 2 / 256 * 256);
    workspace_ = DeviceArray<std::byte>(options.workspace_limit);
  }
  TrialBuffers buffers() const { return {nullptr, nullptr, weights_.data(), workspace_.data()}; }

 private:
  DeviceArray<float> weights_;
  DeviceArray<std::byte> workspace_;
};

}  // namespace

struct Network::Impl {
  Impl(std::shared_ptr<const ModelGraph> g, std::int64_t n, const NetworkOptions& o, const Handles& handles,
       DeviceWeights& weights, NormStatisticsDevice& statistics)
      : graph(std::move(g)),
        options(o),
        own_algorithms(handles.environment()),
        labels(static_cast<std::size_t>(n)),
        position(1),
        sums(1),
        context{*graph,
                options,
                narrowed(n),
                channels_on_device(*graph, options),
                handles,
                weights,
                statistics,
                options.algorithms != nullptr ? *options.algorithms : own_algorithms,
                plan_memory(*graph, plan_options(n, options, channels_on_device(*graph, options))),
                {},
                {},
                {},
                {},
                labels.data(),
                position.data(),
                options.loss_scale,
                sums.data()} {
    LOCKSTEP_EXPECTS(weights.element() == storage_of(options.precision));
    context.memory = DeviceArray<std::byte>(context.plan.bytes);
    check(cudaMemset(context.memory.data(), 0, context.memory.bytes()), "clearing activations");
    check(cudaMemset(labels.data(), 0xff, labels.bytes()), "clearing labels");
    check(cudaMemset(position.data(), 0, position.bytes()), "clearing the position");
    check(cudaMemset(sums.data(), 0, sums.bytes()), "clearing the loss");
    check(cudaDeviceSynchronize(), "clearing activations");
    build();
    // Measuring wrote into activations; the channels that pad the images must be zero.
    check(cudaMemsetAsync(context.memory.data(), 0, context.memory.bytes(), context.stream()), "clearing activations");
    check(cudaStreamSynchronize(context.stream()), "building the network");
  }

  void build() {
    std::unique_ptr<Trial> trial;
    if (!options.deterministic) {
      trial = std::make_unique<Trial>(*graph, context.weights.master().layout(), options);
      context.trial = trial->buffers();
    }
    for (const Layer& layer : graph->layers) layers.push_back(make({context, layer}));
    context.trial = {};
    check(cudaStreamSynchronize(context.stream()), "measuring algorithms");
    trial.reset();
    context.workspace.allocate();
  }

  std::shared_ptr<const ModelGraph> graph;
  NetworkOptions options;
  AlgorithmCache own_algorithms;
  DeviceArray<int> labels;
  DeviceArray<long long> position;
  DeviceArray<LossSums> sums;
  Context context;
  std::vector<std::unique_ptr<LayerRun>> layers;
};

Network::Network(std::shared_ptr<const ModelGraph> graph, std::int64_t images, const NetworkOptions& options,
                 const Handles& handles, DeviceWeights& weights, NormStatisticsDevice& statistics) {
  if (options.precision == Precision::Bf16 && handles.capability() < 80)
    throw ConfigError("run file", "training.precision", "this GPU does not compute in bf16; take fp16 or fp32");
  impl_ = std::make_unique<Impl>(std::move(graph), images, options, handles, weights, statistics);
}

Network::~Network() = default;

std::int64_t Network::images() const { return impl_->context.images; }
void* Network::input() const { return impl_->context.at(impl_->context.plan.activation[0]); }
int Network::input_channels() const { return impl_->context.input_channels; }
Element Network::element() const { return impl_->context.element(); }
int* Network::labels() const { return impl_->labels.data(); }
long long* Network::position() const { return impl_->position.data(); }

void Network::begin(std::int64_t position) {
  LOCKSTEP_EXPECTS(position >= 0);
  store_value(position, impl_->position.data(), impl_->context.stream());
}

void Network::forward(LayerId layer) {
  if (auto& run = impl_->layers[layer.index()]) run->forward();
}

void Network::backward(LayerId layer, DeviceTensorSet& gradients, bool add) {
  LOCKSTEP_EXPECTS(impl_->context.training());
  if (auto& run = impl_->layers[layer.index()]) run->backward(gradients, add);
}

LossSums* Network::sums() const { return impl_->sums.data(); }

void Network::clear_sums() {
  check(cudaMemsetAsync(impl_->sums.data(), 0, impl_->sums.bytes(), impl_->context.stream()), "clearing the loss");
}

LossSums Network::read_sums() const {
  LossSums out{};
  copy_to_host(static_cast<const LossSums*>(impl_->sums.data()), std::span(&out, 1), impl_->context.stream());
  check(cudaStreamSynchronize(impl_->context.stream()), "reading the loss");
  return out;
}

const std::vector<std::string>& Network::algorithms() const { return impl_->context.chosen; }
std::size_t Network::memory_bytes() const { return impl_->context.memory.bytes(); }
std::size_t Network::workspace_bytes() const { return impl_->context.workspace.bytes(); }

}  // namespace lockstep::cuda
