#include "real/cuda/device/cuda_device.hpp"

#include <cudnn.h>
#include <nvtx3/nvToolsExt.h>

#include <algorithm>
#include <map>
#include <optional>
#include <utility>

#include "core/base/error.hpp"
#include "real/comm/transport.hpp"
#include "real/cuda/comm/device_choice.hpp"
#include "real/cuda/comm/device_facts.hpp"
#include "real/cuda/comm/make_lane.hpp"
#include "real/cuda/device/bucket_packing.hpp"
#include "real/cuda/device/input_ring.hpp"
#include "real/cuda/device/optimizer_state.hpp"
#include "real/cuda/device/step_clock.hpp"
#include "real/cuda/device/step_graph.hpp"
#include "real/cuda/jpeg/decoder.hpp"
#include "real/cuda/network/descriptors.hpp"
#include "real/cuda/network/network.hpp"
#include "real/tensors/norm_statistics.hpp"
#include "real/tensors/tensor_set.hpp"
#include "real/world/image_feed.hpp"
#include "real/world/recorder.hpp"

namespace lockstep {

namespace cuda {

namespace {

/// What the host knows of a step under way.
struct Slot {
  static constexpr std::size_t kNetworks = 2;  // shares of a step differ by at most one image

  std::int64_t step = 0;
  StepMarks own, replayed;
  const StepMarks* marks = nullptr;  ///< of this step
  bool follows = false;              ///< right behind the step before
  std::optional<StepGraph> graph;
  PinnedArray<LossSums> sums{kNetworks};
  PinnedArray<LossScale> scale{1};
  std::size_t networks = 0;
  Event done;
  std::vector<TimelineEvent> events;  ///< if traced
};

/// Events around the operations of a traced step.
class Tracer {
 public:
  explicit Tracer(cudaStream_t stream) : stream_(stream) {}
  template <class Work>
  void run(const StepProgram& program, const Op& op, Work&& work) {
    auto& [kind, name, begin, end] = ops_.emplace_back(op.kind, program.name(op), Event(true), Event(true));
    nvtxRangePushA(name.c_str());
    begin.record(stream_);
    work();
    end.record(stream_);
    nvtxRangePop();
  }
  /// All must have been reached; `zero` was at `at` of the host's scale.
  void tell(const Event& zero, Time at, std::vector<TimelineEvent>& out) const {
    for (const auto& [kind, name, begin, end] : ops_) {
      TimelineEvent e;
      e.kind = kind;
      e.name = name;
      e.begin = at + begin.since(zero);
      e.end = at + end.since(zero);
      out.push_back(std::move(e));
    }
  }

 private:
  cudaStream_t stream_;
  std::vector<std::tuple<OpKind, std::string, Event, Event>> ops_;
};

DeviceChoice chosen_device(const DeviceSettings& s) {
  const auto devices = exchange_devices(*s.transport, visible_devices());
  DeviceChoice choice = choose_device(devices, s.transport->rank(), s.run->allreduce.reduction);
  check(cudaSetDevice(choice.device), "cudaSetDevice");
  return choice;
}

class CudaDevice final : public Device {
 public:
  explicit CudaDevice(const DeviceSettings& s)
      : run_(*s.run),
        transport_(*s.transport),
        recorder_(*s.recorder),
        choice_(chosen_device(s)),
        handles_(compute_),
        algorithms_(handles_.environment()),
        ordered_(run_.allreduce.reduction == Reduction::Ordered) {
    if (run_.data.kind == DataKind::ImagenetFolder && run_.real.jpeg != JpegDecoder::Host)
      decoder_ = nvjpeg_decoder(choice_.device);
  }

  std::string kind() const override { return "cuda"; }
  std::string description() const override {
    std::string text = to_text(device_facts(choice_.device, cudnnGetVersion()));
    if (transport_.size() > 1)
      text += choice_.lane == LaneKind::Nccl ? "; gradients over NCCL" : "; gradients through the host";
    if (decoder_) text += "; JPEG by " + decoder_->description();
    return choice_.warning.empty() ? text : text + " (" + choice_.warning + ")";
  }
  int steps_ahead() const override { return 1; }
  ImageForm image_form() const override { return {true, decoder_.get()}; }
  std::vector<std::string> choices() const override {
    return networks_.empty() ? std::vector<std::string>() : networks_.rbegin()->second->algorithms();
  }

  void prepare(std::shared_ptr<const ModelGraph> graph, const ModelState& initial) override {
    graph_ = std::move(graph);
    const bool sixteen = storage_of(run_.training.precision) != Element::F32;
    input_channels_ = padded_input_channels(*graph_, sixteen);
    layout_ = std::make_shared<const TensorLayout>(*graph_, input_channels_);
    weights_.emplace(layout_, storage_of(run_.training.precision));
    optimizer_.emplace(run_, *graph_, *weights_, layout_);
    statistics_.emplace(*graph_);
    evaluation_statistics_.emplace(*graph_);
    set_state(initial);
  }

  void step(const StepProgram& program, const StepArgs& args, ImageFeed& feed) override {
    settle(program);
    measuring_.reset();
    Slot& slot = slots_[begun_++ % kSlots];
    slot.step = args.step;
    slot.follows = std::exchange(in_a_row_, true);
    slot.events.clear();
    used_.clear();
    optimizer_->set_values(args, (begun_ - 1) % kSlots, compute_);
    const bool traced = recorder_.traces(args.step);
    const std::int64_t images = images_of_micro_step(program, args.images, Rank(transport_.rank()), 0).length;
    const bool whole = program.accumulation == 1 && args.images == run_.training.global_batch && images > 0;
    if (run_.real.cuda_graph && whole && warm_ && !traced && (!lane_ || lane_->capturable())) {
      replay(program, args, feed, slot);
    } else {
      std::optional<Tracer> tracer;
      if (traced) tracer.emplace(compute_);
      slot.own.clear();
      slot.marks = &slot.own;
      enqueue(program, args, &feed, slot.own, tracer ? &*tracer : nullptr, slot);
      finish(slot);
      if (traced) trace(program, slot, *tracer);
      warm_ = warm_ || whole;
    }
  }

  StepOutcome result() override {
    LOCKSTEP_EXPECTS(read_ < begun_);
    Slot& slot = slots_[read_ % kSlots];
    wait(slot.done);
    StepOutcome out;
    for (std::size_t i = 0; i < slot.networks; ++i) {
      const LossSums& s = slot.sums.data()[i];
      out.sums += {s.loss, s.correct, s.counted};
    }
    if (optimizer_->scale() != nullptr) {
      out.loss_scale = static_cast<double>(slot.scale.data()->scale);
      out.skipped = slot.scale.data()->skipped != 0;
    }
    out.parts = slot.marks->parts(slot.follows ? slots_[(read_ - 1) % kSlots].marks : nullptr);
    recorder_.begin_step(slot.step);
    for (const TimelineEvent& e : slot.events) recorder_.add_beside(e.kind, e.lane, e.name, e.begin, e.end, e.bytes);
    ++read_;
    return out;
  }

  void begin_evaluation(const std::vector<float>& statistics, std::int64_t images) override {
    in_a_row_ = false;
    evaluation_statistics_->upload(statistics, compute_);
    if (!evaluation_ || evaluation_->images() != images)
      evaluation_ = make_network(images, options(NetworkMode::Evaluation), *evaluation_statistics_);
  }

  BatchResult evaluate(const Batch& batch) override { return forward(*evaluation_, batch); }

  std::vector<float> statistics_of(const Batch& batch) override {
    in_a_row_ = false;
    const std::int64_t images = std::ssize(batch.labels);
    if (!measuring_ || measuring_->images() != images) {
      NetworkOptions o = options(NetworkMode::Training);
      o.norm_momentum = 0;  // the average is that of the last batch
      measured_.emplace(*graph_);
      measuring_ = make_network(images, o, *measured_);
    }
    forward(*measuring_, batch);
    std::vector<float> out(measured_->size());
    measured_->download(out, compute_);
    return out;
  }

  ModelState state() override {
    in_a_row_ = false;
    compute_.synchronise();
    ModelState out;
    TensorSet host(*graph_);
    const auto download = [&](const DeviceTensorSet& set) {
      set.download([&](TensorId id) { return host[id]; }, compute_);
      return std::vector<float>(host.all().begin(), host.all().end());
    };
    out.weights = download(weights_->master());
    out.velocity = download(optimizer_->velocity());
    out.statistics.resize(statistics_->size());
    statistics_->download(out.statistics, compute_);
    out.loss_scale = optimizer_->loss_scale(compute_);
    return out;
  }

  void set_state(const ModelState& state) override {
    TensorSet host(*graph_);
    const auto upload = [&](const std::vector<float>& values, DeviceTensorSet& set) {
      LOCKSTEP_EXPECTS(values.size() == host.all().size());
      std::copy(values.begin(), values.end(), host.all().begin());
      set.upload([&](TensorId id) { return std::span<const float>(host[id]); }, compute_);
    };
    upload(state.weights, weights_->master());
    upload(state.velocity, optimizer_->velocity());
    if (weights_->element() != Element::F32) weights_->refresh_low(compute_);
    statistics_->upload(state.statistics, compute_);
    optimizer_->set_loss_scale(state.loss_scale, compute_);
    compute_.synchronise();
  }

 private:
  // ---- what is made once per program or size ----

  NetworkOptions options(NetworkMode mode) {
    NetworkOptions o;
    o.mode = mode;
    o.precision = run_.training.precision;
    o.deterministic = run_.real.deterministic;
    o.label_smoothing = mode == NetworkMode::Training ? run_.training.label_smoothing : 0;
    o.seed = run_.training.seed;
    o.input_channels_padded = input_channels_;
    o.loss_scale = mode == NetworkMode::Training ? optimizer_->scale() : nullptr;
    o.algorithms = &algorithms_;
    return o;
  }

  std::unique_ptr<Network> make_network(std::int64_t images, const NetworkOptions& o,
                                        NormStatisticsDevice& statistics) {
    compute_.synchronise();
    if (!ring_ || ring_->images() < images)
      ring_.emplace(images, graph_->input(), loader_options(run_, graph_->input(), image_form()).recipe);
    return std::make_unique<Network>(graph_, images, o, handles_, *weights_, statistics);
  }

  Network& training_network(std::int64_t images) {
    auto& slot = networks_[images];
    if (!slot) slot = make_network(images, options(NetworkMode::Training), *statistics_);
    return *slot;
  }

  /// Gradient buffers and the lane of a program.
  void settle(const StepProgram& program) {
    const std::uint64_t digest = program.digest;
    if (digest == program_) return;
    compute_.synchronise();
    for (Slot& slot : slots_) slot.graph.reset();
    lane_.reset();
    warm_ = false;
    gradients_.clear();
    const auto order =
        std::make_shared<const TensorLayout>(*graph_, input_channels_, tensors_in_order(program.buckets));
    for (int i = 0; i < (ordered_ ? program.accumulation : 1); ++i) gradients_.emplace_back(order);
    optimizer_->read_from(gradients_[0], compute_);
    ready_.clear();
    for (std::size_t b = 0; b < program.buckets.buckets.size(); ++b) ready_.emplace_back();
    if (transport_.size() > 1 || ordered_) {
      LaneSettings settings;
      settings.timeout = run_.real.timeout;
      settings.reduction = run_.allreduce.reduction;
      settings.in_flight = run_.allreduce.in_flight;
      lane_ = make_lane(choice_.lane, transport_, packed_buckets(program, run_, gradients_), settings);
    }
    program_ = digest;
  }

  // ---- one step ----

  /// Images of one micro-step to the network that computes it; null if there are none.
  Network* load(const StepProgram& program, const StepArgs& args, ImageFeed& feed, int micro, Slot& slot) {
    const Time begin = recorder_.now();
    Batch batch = feed.next(program, args, micro);
    Network* network = nullptr;
    if (!batch.labels.empty()) {
      network = &training_network(std::ssize(batch.labels));
      ring_->feed(batch, *network, compute_);
      network->begin(feed.position(program, args, micro));
    }
    feed.recycle(std::move(batch));
    TimelineEvent e;
    e.lane = Lane::Input;
    e.kind = OpKind::Load;
    e.name = program.name(program.ops.front());
    e.begin = begin;
    e.end = recorder_.now();
    if (recorder_.traces(args.step)) slot.events.push_back(std::move(e));
    return network;
  }

  /// The first use of a network in a step.
  void enlist(Network& network) {
    if (std::find(used_.begin(), used_.end(), &network) != used_.end()) return;
    network.clear_sums();
    used_.push_back(&network);
  }

  /// Everything of a step; with `feed` the images too, else they are on the device already, in `loaded_`.
  void enqueue(const StepProgram& program, const StepArgs& args, ImageFeed* feed, StepMarks& marks, Tracer* tracer,
               Slot& slot) {
    using Part = StepMarks::Part;
    Network* network = loaded_;
    int filled = 0;  // micro-steps with images so far
    bool backward = false;
    const auto run = [&](const Op& op, auto&& work) {
      if (tracer != nullptr) {
        tracer->run(program, op, work);
      } else {
        work();
      }
    };
    for (const Op& op : program.ops) {
      if (backward && (op.kind == OpKind::Load || op.kind == OpKind::Update)) {
        marks.mark(Part::Backward, compute_);
        backward = false;
      }
      switch (op.kind) {
        case OpKind::Load:
          if (feed != nullptr) network = load(program, args, *feed, op.micro, slot);
          if (network != nullptr) {
            enlist(*network);
            ++filled;
          }
          if (op.micro == 0) {
            marks.mark(Part::Begin, compute_);
            if (lane_) lane_->begin_step(compute_);
            if (network == nullptr) gradients_[0].clear(compute_);
          }
          break;
        case OpKind::Forward:
          if (network == nullptr) break;
          run(op, [&] { network->forward(op.layer); });
          if (graph_->layer(op.layer).kind == LayerKind::SoftmaxCrossEntropy) marks.mark(Part::Forward, compute_);
          break;
        case OpKind::Backward:
          backward = true;
          if (network == nullptr) break;
          run(op, [&] {
            network->backward(op.layer, gradients_[ordered_ ? static_cast<std::size_t>(op.micro) : 0],
                              !ordered_ && filled > 1);
          });
          break;
        case OpKind::Allreduce:
          if (!lane_) break;
          ready_[op.bucket.index()].record(compute_);
          lane_->start(op.bucket, ready_[op.bucket.index()], ordered_ ? filled : -1);
          break;
        case OpKind::Update:
          for (const OpId need : op.needs) {
            const Op& before = program.ops[need.index()];
            if (lane_ && before.kind == OpKind::Allreduce) lane_->wait(before.bucket, compute_);
          }
          // All tensors at once, after the last group's sums: the verdict of loss scaling is over all.
          if (op.id != program.ops.back().id) break;
          marks.mark(Part::Wait, compute_);
          run(op, [&] { optimizer_->update(compute_); });
          marks.mark(Part::Update, compute_);
          break;
      }
    }
  }

  void replay(const StepProgram& program, const StepArgs& args, ImageFeed& feed, Slot& slot) {
    loaded_ = load(program, args, feed, 0, slot);
    slot.marks = &slot.replayed;
    if (!slot.graph) {
      slot.replayed.clear();
      slot.graph.emplace(compute_, [&] { enqueue(program, args, nullptr, slot.replayed, nullptr, slot); });
    }
    used_ = {loaded_};
    slot.graph->launch(compute_);
    if (lane_) lane_->launched(compute_);
    finish(slot);
    loaded_ = nullptr;
  }

  void finish(Slot& slot) {
    LOCKSTEP_EXPECTS(used_.size() <= Slot::kNetworks);
    slot.networks = used_.size();
    for (std::size_t i = 0; i < used_.size(); ++i)
      copy_to_host(static_cast<const LossSums*>(used_[i]->sums()), slot.sums.span().subspan(i, 1), compute_);
    optimizer_->tell_loss_scale(slot.scale.span(), compute_);
    slot.done.record(compute_);
    if (lane_) lane_->check();
  }

  void wait(const Event& event) {
    if (lane_) {
      lane_->synchronise(event);
    } else {
      event.synchronise();
    }
  }

  void trace(const StepProgram& program, Slot& slot, const Tracer& tracer) {
    wait(slot.done);
    const Event& first = slot.own.first();
    const Time zero = recorder_.now() - slot.own.last().since(first);
    tracer.tell(first, zero, slot.events);
    if (!lane_) return;
    for (const Op& op : program.ops) {
      if (op.kind != OpKind::Allreduce) continue;
      const GradientLane::Times times = lane_->times(op.bucket);
      TimelineEvent e;
      e.lane = Lane::Communication;
      e.kind = OpKind::Allreduce;
      e.name = program.name(op);
      e.begin = zero + times.begin;
      e.end = zero + times.end;
      e.bytes = program.buckets.buckets[op.bucket.index()].bytes();
      slot.events.push_back(std::move(e));
    }
  }

  BatchResult forward(Network& network, const Batch& batch) {
    network.clear_sums();
    ring_->feed(batch, network, compute_);
    network.begin(0);
    for (const Layer& layer : graph_->layers) network.forward(layer.id);
    const LossSums s = network.read_sums();
    return {s.loss, s.correct, s.counted};
  }

  const RunSpec& run_;
  Transport& transport_;
  Recorder& recorder_;
  const DeviceChoice choice_;
  Stream compute_;
  Handles handles_;
  AlgorithmCache algorithms_;
  const bool ordered_;
  std::shared_ptr<DeviceDecoder> decoder_;  ///< null: the host decodes
  std::shared_ptr<const ModelGraph> graph_;
  int input_channels_ = 0;
  std::shared_ptr<const TensorLayout> layout_;
  std::optional<DeviceWeights> weights_;
  std::optional<OptimizerState> optimizer_;
  std::vector<DeviceTensorSet> gradients_;
  std::optional<NormStatisticsDevice> statistics_, evaluation_statistics_, measured_;
  std::optional<InputRing> ring_;
  std::map<std::int64_t, std::unique_ptr<Network>> networks_;  // by micro-batch
  std::unique_ptr<Network> evaluation_, measuring_;
  std::uint64_t program_ = 0;
  bool warm_ = false;  ///< a whole step of this program ran operation by operation
  std::vector<Event> ready_;
  std::unique_ptr<GradientLane> lane_;
  std::array<Slot, kSlots> slots_;    ///< behind the lane: their graphs hold its collectives and must go first
  std::size_t begun_ = 0, read_ = 0;  ///< steps
  bool in_a_row_ = false;             ///< nothing but steps since the last step
  std::vector<Network*> used_;        ///< in the step under way
  Network* loaded_ = nullptr;
};

}  // namespace

}  // namespace cuda

void require_cuda(const RunSpec& run) {
  if (run.real.jpeg == JpegDecoder::Device && !cuda::has_nvjpeg())
    throw ConfigError("run file", "real.jpeg",
                      "this program was built without nvJPEG (nvjpeg.h was not found); expected \"auto\" or \"host\"");
  std::string reason;
  if (cuda::visible_devices(&reason).empty())
    throw ConfigError("run file", "training.device", "no GPU can be used here: " + reason);
}

std::unique_ptr<Device> cuda_device(const DeviceSettings& settings) {
  require_cuda(*settings.run);
  return std::make_unique<cuda::CudaDevice>(settings);
}

}  // namespace lockstep
