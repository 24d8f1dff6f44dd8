#include "real/cpu/cpu_device.hpp"

#include <algorithm>
#include <map>
#include <optional>
#include <thread>

#include "core/base/error.hpp"
#include "core/optim/optimizer.hpp"
#include "real/comm/communication_lane.hpp"
#include "real/cpu/network.hpp"
#include "real/tensors/tensor_set.hpp"
#include "real/world/image_feed.hpp"
#include "real/world/recorder.hpp"

namespace lockstep {

namespace {

/// The cores of this host, shared among its ranks.
int share_of_cores(const Transport& transport) {
  const int local = node_place(transport, transport.rank()).local_size;
  return std::max(1, static_cast<int>(std::thread::hardware_concurrency()) / local);
}

void fill(Network& network, const Batch& batch) {
  std::copy(batch.images.begin(), batch.images.end(), network.input().begin());
  const auto labels = network.labels();
  std::fill(std::copy(batch.labels.begin(), batch.labels.end(), labels.begin()), labels.end(), -1);
}

class CpuDevice final : public Device {
 public:
  explicit CpuDevice(const DeviceSettings& s)
      : run_(*s.run),
        transport_(*s.transport),
        recorder_(*s.recorder),
        threads_(run_.real.threads > 0 ? run_.real.threads : share_of_cores(transport_)),
        ordered_(run_.allreduce.reduction == Reduction::Ordered),
        lane_(transport_, run_.allreduce.in_flight, run_.real.timeout) {}

  std::string kind() const override { return "cpu"; }
  std::string description() const override { return processor_description(threads_); }
  int steps_ahead() const override { return 0; }

  void prepare(std::shared_ptr<const ModelGraph> graph, const ModelState& initial) override {
    graph_ = std::move(graph);
    weights_.emplace(*graph_);
    velocity_.emplace(*graph_);
    statistics_.emplace(*graph_);
    evaluation_statistics_.emplace(*graph_);
    set_state(initial);
  }

  void step(const StepProgram& program, const StepArgs& args, ImageFeed& feed) override {
    prepare_gradients(program);
    recorder_.begin_step(args.step);
    measuring_.reset();
    result_ = {};
    filled_ = 0;
    network_ = nullptr;
    for (const Op& op : program.ops) {
      switch (op.kind) {
        case OpKind::Load:
          timed(program, op, [&] { load(program, args, op, feed); });
          if (network_ == nullptr && op.micro == 0)
            std::fill(gradients_[0].all().begin(), gradients_[0].all().end(), 0.0f);
          break;
        case OpKind::Forward:
          if (network_ == nullptr) break;
          timed(program, op, [&] { network_->forward(op.layer); });
          if (graph_->layer(op.layer).kind == LayerKind::SoftmaxCrossEntropy) result_ += network_->result();
          break;
        case OpKind::Backward:
          if (network_ == nullptr) break;
          timed(program, op, [&] {
            network_->backward(op.layer, gradients_[ordered_ ? static_cast<std::size_t>(op.micro) : 0],
                               !ordered_ && filled_ > 1);
          });
          break;
        case OpKind::Allreduce:
          if (transport_.size() > 1 || ordered_) tickets_[op.bucket] = start_allreduce(program, op);
          break;
        case OpKind::Update:
          for (const OpId need : op.needs) wait_for(program, program.ops[need.index()]);
          timed(program, op, [&] {
            update(program, op, args);
            if (op.id == program.ops.back().id) load_weights();
          });
          break;
      }
    }
  }

  StepOutcome result() override { return {result_, recorder_.parts()}; }

  void begin_evaluation(const std::vector<float>& statistics, std::int64_t images) override {
    evaluation_statistics_->values() = statistics;
    if (!evaluation_ || evaluation_->images() != images) {
      evaluation_ =
          std::make_unique<Network>(graph_, images, options(NetworkMode::Evaluation), *evaluation_statistics_);
      evaluation_stale_ = true;
    }
    if (evaluation_stale_) evaluation_->load_weights(*weights_);
    evaluation_stale_ = false;
  }

  BatchResult evaluate(const Batch& batch) override {
    fill(*evaluation_, batch);
    return forward(*evaluation_);
  }

  std::vector<float> statistics_of(const Batch& batch) override {
    const std::int64_t images = std::ssize(batch.labels);
    if (!measuring_ || measuring_->network.images() != images) {
      NetworkOptions o = options(NetworkMode::Training);
      o.norm_momentum = 0;  // the average is that of the last batch
      measuring_ = std::make_unique<Measuring>(graph_, images, o);
      measuring_->network.load_weights(*weights_);
    }
    fill(measuring_->network, batch);
    forward(measuring_->network);
    return measuring_->statistics.values();
  }

  ModelState state() override {
    const auto copy = [](const TensorSet& set) { return std::vector<float>(set.all().begin(), set.all().end()); };
    return {copy(*weights_), copy(*velocity_), statistics_->values(), {}};
  }

  void set_state(const ModelState& state) override {
    LOCKSTEP_EXPECTS(state.weights.size() == weights_->all().size() &&
                     state.velocity.size() == velocity_->all().size() &&
                     state.statistics.size() == statistics_->values().size());
    std::copy(state.weights.begin(), state.weights.end(), weights_->all().begin());
    std::copy(state.velocity.begin(), state.velocity.end(), velocity_->all().begin());
    statistics_->values() = state.statistics;
    load_weights();
  }

 private:
  /// For statistics_of().
  struct Measuring {
    Measuring(std::shared_ptr<const ModelGraph> graph, std::int64_t images, const NetworkOptions& options)
        : statistics(*graph), network(std::move(graph), images, options, statistics) {}
    NormStatistics statistics;
    Network network;
  };

  template <class Work>
  void timed(const StepProgram& program, const Op& op, Work&& work) {
    const Time begin = recorder_.now();
    work();
    recorder_.add(op.kind, op.lane, recorder_.traced() ? program.name(op) : std::string(), begin, recorder_.now());
  }

  void load(const StepProgram& program, const StepArgs& args, const Op& op, ImageFeed& feed) {
    Batch batch = feed.next(program, args, op.micro);
    const auto images = static_cast<std::int64_t>(batch.labels.size());
    network_ = images > 0 ? &training_network(images) : nullptr;
    if (network_ != nullptr) {
      fill(*network_, batch);
      network_->begin(feed.position(program, args, op.micro));
      ++filled_;
    }
    feed.recycle(std::move(batch));
  }

  BatchResult forward(Network& network) {
    network.begin(0);
    for (const Layer& layer : graph_->layers) network.forward(layer.id);
    return network.result();
  }

  NetworkOptions options(NetworkMode mode) const {
    NetworkOptions o;
    o.mode = mode;
    o.precision = run_.training.precision;
    o.threads = threads_;
    o.deterministic = run_.real.deterministic;
    o.label_smoothing = mode == NetworkMode::Training ? run_.training.label_smoothing : 0;
    o.seed = run_.training.seed;
    return o;
  }

  Network& training_network(std::int64_t images) {
    auto& slot = networks_[images];
    if (!slot) {
      slot = std::make_unique<Network>(graph_, images, options(NetworkMode::Training), *statistics_);
      slot->load_weights(*weights_);
    }
    return *slot;
  }

  void load_weights() {
    for (auto& [images, network] : networks_) network->load_weights(*weights_);
    evaluation_stale_ = true;
    measuring_.reset();
  }

  /// Gradient buffers in the order of the program's buckets: one, or one per micro-step where sums are ordered.
  void prepare_gradients(const StepProgram& program) {
    const std::uint64_t digest = program.digest;
    if (digest == gradients_of_) return;
    gradients_.clear();
    const int count = ordered_ ? program.accumulation : 1;
    for (int i = 0; i < count; ++i) gradients_.emplace_back(*graph_, tensors_in_order(program.buckets));
    gradients_of_ = digest;
  }

  std::int64_t start_allreduce(const StepProgram& program, const Op& op) {
    const Bucket& bucket = program.buckets.buckets[op.bucket.index()];
    std::vector<std::span<float>> buffers;
    for (TensorSet& set : gradients_) buffers.push_back(set.range(bucket.tensors));
    const CollectivePlan& collective = program.collectives[op.bucket.index()];
    const WireType wire = wire_type(wire_precision(run_), bucket.element_bytes);
    return lane_.start("the " + program.name(op), [&t = transport_, &collective, buffers, wire, filled = filled_,
                                                   how = run_.allreduce.reduction](std::uint32_t sequence) {
      if (how == Reduction::Ordered) return run_ordered(buffers, filled, sequence, t);
      if (how == Reduction::Mpi) return run_library(buffers[0], t);
      return run_planned(collective, sequence, buffers[0], wire, t);
    });
  }

  void wait_for(const StepProgram& program, const Op& before) {
    const auto ticket = before.kind == OpKind::Allreduce ? tickets_.find(before.bucket) : tickets_.end();
    if (ticket == tickets_.end()) return;
    const Time begin = recorder_.now();
    const auto times = lane_.wait(ticket->second);
    recorder_.add_wait(begin, recorder_.at(times.heard), recorder_.now());
    recorder_.add_beside(OpKind::Allreduce, Lane::Communication, program.name(before), recorder_.at(times.begin),
                         recorder_.at(times.end), program.buckets.buckets[before.bucket.index()].bytes());
    tickets_.erase(ticket);
  }

  void update(const StepProgram& program, const Op& op, const StepArgs& args) {
    const StepValues values =
        step_values(run_.optimizer, args.peak_lr, args.lr, args.weight_decay, args.momentum_scale);
    const auto divisor = static_cast<float>(args.images);
    const auto& tensors = program.updates[static_cast<std::size_t>(op.group)].tensors;
    const auto count = static_cast<std::int64_t>(tensors.size());
    // Tensors are shared among threads whole, so no sum depends on how many there are.
#pragma omp parallel for schedule(dynamic) num_threads(threads_)
    for (std::int64_t i = 0; i < count; ++i) {
      const TensorId id = tensors[static_cast<std::size_t>(i)];
      const std::span<float> gradient = gradients_[0][id];
      for (float& g : gradient) g /= divisor;
      const ParamTensor& tensor = graph_->tensor(id);
      update_tensor<float>(run_.optimizer, tensor.role, graph_->layer(tensor.layer).kind == LayerKind::Linear, values,
                           (*weights_)[id], gradient, (*velocity_)[id]);
    }
  }

  const RunSpec& run_;
  Transport& transport_;
  Recorder& recorder_;
  const int threads_;
  const bool ordered_;
  std::shared_ptr<const ModelGraph> graph_;
  std::optional<TensorSet> weights_, velocity_;
  std::vector<TensorSet> gradients_;
  std::uint64_t gradients_of_ = 0;
  std::optional<NormStatistics> statistics_, evaluation_statistics_;
  std::map<std::int64_t, std::unique_ptr<Network>> networks_;  // by micro-batch
  std::unique_ptr<Network> evaluation_;
  bool evaluation_stale_ = true;
  std::unique_ptr<Measuring> measuring_;
  // Of the step under way.
  BatchResult result_;
  Network* network_ = nullptr;
  int filled_ = 0;  // micro-steps with images so far
  std::map<BucketId, std::int64_t> tickets_;
  CommunicationLane lane_;  // last: its thread uses the others
};

}  // namespace

void require_cpu(const RunSpec& run) {
  if (run.training.precision != Precision::Fp32 && run.training.precision != Precision::Bf16)
    throw ConfigError("run file", "training.precision", "processors compute in fp32 or bf16");
}

std::unique_ptr<Device> cpu_device(const DeviceSettings& settings) {
  require_cpu(*settings.run);
  return std::make_unique<CpuDevice>(settings);
}

}  // namespace lockstep
