#include "experiments/config_io/words.hpp"

#include <fmt/format.h>

#include "core/base/error.hpp"

namespace lockstep {

namespace {

constexpr Word<Precision> kPrecisions[] = {
    {Precision::Fp32, "fp32", "single precision"},
    {Precision::Tf32, "tf32", "fp32 storage, tensor cores with 10 bits of mantissa"},
    {Precision::Fp16, "fp16", "half precision activations and gradients, fp32 master weights"},
    {Precision::Bf16, "bf16", "bfloat16 activations and gradients, fp32 master weights"}};

constexpr Word<LinearInit> kLinear[] = {
    {LinearInit::Goyal, "goyal", "normal with deviation 0.01, for layers of about 2,000 inputs"},
    {LinearInit::FanIn, "fan_in", "uniform within 1 / sqrt(inputs), PyTorch's default"}};

constexpr Word<OptimizerKind> kOptimizers[] = {
    {OptimizerKind::Sgd, "sgd", "SGD with momentum"},
    {OptimizerKind::Nesterov, "nesterov", "SGD with Nesterov momentum"},
    {OptimizerKind::Lars, "lars", "layer-wise adaptive rate scaling, see optimizer.lars_variant"}};

constexpr Word<LarsVariant> kLars[] = {
    {LarsVariant::Paper, "paper", "You, Gitman, Ginsburg 2017"},
    {LarsVariant::MlperfReference, "mlperf_reference", "MLPerf training reference"},
    {LarsVariant::TfModels, "tf_models", "TensorFlow model garden"},
    {LarsVariant::MxnetMultiLars, "mxnet_multi_lars", "MXNet multi_lars kernels"},
    {LarsVariant::NvidiaFastV2, "nvidia_fast_v2", "NVIDIA MLPerf submission, fast LARS v2"},
    {LarsVariant::Fujitsu, "fujitsu", "Fujitsu MLPerf v0.6 submission"},
    {LarsVariant::ApexLarc, "apex_larc", "NVIDIA Apex LARC, clipping"},
    {LarsVariant::ApexScale, "apex_scale", "NVIDIA Apex LARC, scaling"},
    {LarsVariant::Timm, "timm", "pytorch-image-models"}};

constexpr Word<NormKernels> kNorms[] = {{NormKernels::PerLayer, "per_layer", "one kernel launch per layer"},
                                        {NormKernels::Batched, "batched", "the norms of all layers in one launch"}};

constexpr Word<WarmupKind> kWarmups[] = {{WarmupKind::None, "none", "start at the full rate"},
                                         {WarmupKind::Constant, "constant", "a lower constant rate first"},
                                         {WarmupKind::Gradual, "gradual", "a linear ramp, per step"}};

constexpr Word<DecayKind> kDecays[] = {{DecayKind::Constant, "constant", "no decay"},
                                       {DecayKind::Step, "step", "times step_factor at each of step_epochs"},
                                       {DecayKind::Linear, "linear", "to end_lr in a line"},
                                       {DecayKind::Polynomial, "polynomial", "to end_lr with `power`"},
                                       {DecayKind::Cosine, "cosine", "to end_lr in half a cosine"}};

constexpr Word<BucketPolicy> kBuckets[] = {
    {BucketPolicy::PerTensor, "per_tensor", "one allreduce per gradient tensor"},
    {BucketPolicy::One, "one", "all gradients together, after backward"},
    {BucketPolicy::Size, "size", "a bucket closes once it holds `size`"},
    {BucketPolicy::Fixed, "fixed", "given numbers of tensors; no negotiation"},
    {BucketPolicy::Ddp, "ddp", "as PyTorch DistributedDataParallel: a small first bucket, then capped ones"},
    {BucketPolicy::Horovod, "horovod", "whatever is ready at each cycle, up to `size`, after a negotiation"}};

constexpr Word<AllreduceAlgorithm> kAlgorithms[] = {
    {AllreduceAlgorithm::Auto, "auto",
     "per bucket the cheapest of all but torus, three_phase and library, as simulated"},
    {AllreduceAlgorithm::Ring, "ring", "2(n-1) steps around a ring"},
    {AllreduceAlgorithm::HalvingDoubling, "halving_doubling",
     "recursive halving and doubling, binary blocks for any count"},
    {AllreduceAlgorithm::Tree, "tree", "double binary tree"},
    {AllreduceAlgorithm::Torus, "torus", "reduce-scatter in rows, allreduce in columns, all-gather in rows"},
    {AllreduceAlgorithm::Hierarchical, "hierarchical", "as torus, with the GPUs of a node as a row"},
    {AllreduceAlgorithm::ThreePhase, "three_phase", "reduce in the node, allreduce of leaders, broadcast in the node"},
    {AllreduceAlgorithm::Nvls, "nvls", "additions and copies in NVSwitches, trees between nodes (NVLink SHARP)"},
    {AllreduceAlgorithm::Library, "library", "ring, tree or NVLS and the protocol as the library's own rule says"}};

constexpr Word<NetworkKind> kNetworks[] = {{NetworkKind::None, "none", "a single node"},
                                           {NetworkKind::Star, "star", "one ideal switch"},
                                           {NetworkKind::FatTree, "fat_tree", "tiers of switches"}};

constexpr Word<NicTransport> kTransports[] = {{NicTransport::Rdma, "rdma", "verbs: InfiniBand, RoCE"},
                                              {NicTransport::Tcp, "tcp", "connections of the kernel"}};

constexpr Word<TuningRule> kTuningRules[] = {
    {TuningRule::None, "none", "the library leaves the choice to its user"},
    {TuningRule::Thresholds, "thresholds", "trees below a size, LL below another (NCCL 2.4)"},
    {TuningRule::Estimates, "estimates", "the least of latency + bytes / bandwidth (NCCL 2.6 and later)"}};

constexpr Word<Confidence> kConfidences[] = {
    {Confidence::Read, "read", "the primary source was read, or it was measured for this project"},
    {Confidence::Secondary, "secondary", "second hand, or derived from a source"},
    {Confidence::Memory, "memory", "recalled or estimated"}};

template <class E>
Choice choice(std::string key) {
  Choice out{std::move(key), {}};
  for (const auto& w : words(E{})) out.options.emplace_back(w.word, w.meaning);
  return out;
}

}  // namespace

std::span<const Word<Precision>> words(Precision) { return kPrecisions; }
std::span<const Word<LinearInit>> words(LinearInit) { return kLinear; }
std::span<const Word<OptimizerKind>> words(OptimizerKind) { return kOptimizers; }
std::span<const Word<LarsVariant>> words(LarsVariant) { return kLars; }
std::span<const Word<NormKernels>> words(NormKernels) { return kNorms; }
std::span<const Word<WarmupKind>> words(WarmupKind) { return kWarmups; }
std::span<const Word<DecayKind>> words(DecayKind) { return kDecays; }
std::span<const Word<BucketPolicy>> words(BucketPolicy) { return kBuckets; }
std::span<const Word<AllreduceAlgorithm>> words(AllreduceAlgorithm) { return kAlgorithms; }
std::span<const Word<NetworkKind>> words(NetworkKind) { return kNetworks; }
std::span<const Word<NicTransport>> words(NicTransport) { return kTransports; }
std::span<const Word<TuningRule>> words(TuningRule) { return kTuningRules; }
std::span<const Word<Confidence>> words(Confidence) { return kConfidences; }

std::string unknown_word(const std::string& word, const std::vector<std::string>& known) {
  const std::string near = nearest(word, known);
  return fmt::format("\"{}\" is not known{}; expected one of {}", word,
                     near.empty() ? "" : fmt::format(" (did you mean \"{}\"?)", near), fmt::join(known, ", "));
}

std::vector<Choice> choices() {
  std::vector<Choice> out;
  out.push_back(choice<Precision>("training.precision"));
  out.push_back({"training.device", {{"cpu", "this machine's processors"}, {"cuda", "an NVIDIA GPU"}}});
  out.push_back({"training.initialization",
                 {{"same_seed", "every rank draws the same weights"}, {"broadcast", "rank 0 sends its weights"}}});
  out.push_back(choice<LinearInit>("training.linear_init"));
  out.push_back({"training.norm_statistics",
                 {{"rank0", "moving averages of rank 0"},
                  {"mean", "averaged over ranks"},
                  {"recompute", "taken anew from training images"}}});
  out.push_back(choice<OptimizerKind>("optimizer.kind"));
  out.push_back(choice<LarsVariant>("optimizer.lars_variant"));
  out.push_back(choice<NormKernels>("optimizer.norms"));
  out.push_back(
      {"optimizer.update", {{"whole", "one update after all buckets"}, {"per_bucket", "as each bucket arrives"}}});
  out.push_back(choice<WarmupKind>("schedule.warmup"));
  out.push_back(choice<DecayKind>("schedule.decay"));
  out.push_back(
      {"schedule.weight_decay", {{"constant", "as given"}, {"with_lr", "follows warm-up and decay of the rate"}}});
  out.push_back(choice<BucketPolicy>("buckets.policy"));
  out.push_back(choice<AllreduceAlgorithm>("allreduce.algorithm"));
  Choice across = choice<AllreduceAlgorithm>("allreduce.across");
  across.options.resize(4);  // auto, ring, halving_doubling, tree: the others are themselves made of two levels
  out.push_back(std::move(across));
  out.push_back({"allreduce.wire",
                 {{"auto", "the training precision"},
                  {"fp32", "4 bytes per value"},
                  {"fp16", "half precision, summed in fp32"},
                  {"bf16", "bfloat16, summed in fp32"}}});
  out.push_back({"allreduce.reduction",
                 {{"planned", "the planner's algorithm"},
                  {"ordered", "by batch-norm group; equal bits for any number of ranks"},
                  {"mpi", "MPI_Allreduce, as a baseline"}}});
  out.push_back({"cluster.placement",
                 {{"packed", "ranks fill node after node"},
                  {"spread", "nodes over the whole cluster"},
                  {"random", "random nodes, seeded"}}});
  out.push_back({"simulation.fold",
                 {{"none", "every rank is simulated"},
                  {"exact", "one of each class of ranks that nothing tells apart; the same result"},
                  {"approx", "a few nodes stand for all, the slowest rank for its expected maximum; fast"}}});
  out.push_back(
      {"simulation.routing", {{"static", "destination modulo k"}, {"ecmp", "hash of source and destination"}}});
  out.push_back({"data.kind",
                 {{"synthetic", "random images"},
                  {"imagenet_folder", "folders of JPEG"},
                  {"cifar10", "CIFAR-10 binary"},
                  {"idx", "MNIST and Fashion-MNIST"}}});
  out.push_back({"data.augmentation",
                 {{"auto", "what the kind of data is usually given"},
                  {"none", "only normalised"},
                  {"pad_crop_flip", "pad by 4, crop, flip: the CIFAR recipe"},
                  {"random_resized_crop", "area 0.08 to 1, aspect 3/4 to 4/3, flip: the ImageNet recipe"}}});
  out.push_back({"real.jpeg",
                 {{"auto", "by nvJPEG on a GPU if the program has it, else by libjpeg"},
                  {"host", "by libjpeg"},
                  {"device", "by nvJPEG"}}});
  out.push_back({"data.broken", {{"fail", "stop and name it"}, {"skip", "name, count and replace it"}}});
  return out;
}

}  // namespace lockstep
