#include "core/spec/words.hpp"

#include <fmt/format.h>

#include "core/base/error.hpp"

namespace lockstep {

namespace {

constexpr Word<Precision> kPrecisions[] = {
    {Precision::Fp32, "fp32", "single precision"},
    {Precision::Tf32, "tf32", "fp32 storage, tensor cores with 10 bits of mantissa"},
    {Precision::Fp16, "fp16", "half precision activations and gradients, fp32 master weights"},
    {Precision::Bf16, "bf16", "bfloat16 activations and gradients, fp32 master weights"}};

constexpr Word<DeviceKind> kDevices[] = {{DeviceKind::Cpu, "cpu", "this machine's processors"},
                                         {DeviceKind::Cuda, "cuda", "an NVIDIA GPU"}};

constexpr Word<Initialization> kInitializations[] = {
    {Initialization::SameSeed, "same_seed", "every rank draws the same weights"},
    {Initialization::Broadcast, "broadcast", "rank 0 sends its weights"}};

constexpr Word<LinearInit> kLinear[] = {
    {LinearInit::Goyal, "goyal", "normal with deviation 0.01, for layers of about 2,000 inputs"},
    {LinearInit::FanIn, "fan_in", "uniform within 1 / sqrt(inputs), PyTorch's default"}};

constexpr Word<NormAverages> kAverages[] = {{NormAverages::Rank0, "rank0", "moving averages of rank 0"},
                                            {NormAverages::Mean, "mean", "averaged over ranks"},
                                            {NormAverages::Recompute, "recompute", "taken anew from training images"}};

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

constexpr Word<UpdateTime> kUpdates[] = {{UpdateTime::Whole, "whole", "one update after all buckets"},
                                         {UpdateTime::PerBucket, "per_bucket", "as each bucket arrives"}};

constexpr Word<WarmupKind> kWarmups[] = {{WarmupKind::None, "none", "start at the full rate"},
                                         {WarmupKind::Constant, "constant", "a lower constant rate first"},
                                         {WarmupKind::Gradual, "gradual", "a linear ramp, per step"}};

constexpr Word<DecayKind> kDecays[] = {{DecayKind::Constant, "constant", "no decay"},
                                       {DecayKind::Step, "step", "times step_factor at each of step_epochs"},
                                       {DecayKind::Linear, "linear", "to end_lr in a line"},
                                       {DecayKind::Polynomial, "polynomial", "to end_lr with `power`"},
                                       {DecayKind::Cosine, "cosine", "to end_lr in half a cosine"}};

constexpr Word<WeightDecayKind> kWeightDecays[] = {
    {WeightDecayKind::Constant, "constant", "as given"},
    {WeightDecayKind::WithRate, "with_lr", "follows warm-up and decay of the rate"}};

constexpr Word<BucketPolicy> kBuckets[] = {
    {BucketPolicy::PerTensor, "per_tensor", "one allreduce per gradient tensor"},
    {BucketPolicy::One, "one", "all gradients together, after backward"},
    {BucketPolicy::Size, "size", "a bucket closes once it holds `size`"},
    {BucketPolicy::Fixed, "fixed", "given numbers of tensors; no negotiation"},
    {BucketPolicy::Ddp, "ddp", "as PyTorch DistributedDataParallel: a small first bucket, then capped ones"},
    {BucketPolicy::Horovod, "horovod", "whatever is ready at each cycle, up to `size`, after a negotiation"}};

constexpr Word<AllreduceAlgorithm> kAlgorithms[] = {
    {AllreduceAlgorithm::Auto, "auto",
     "per bucket the cheapest of ring, halving_doubling, tree (over nodes node_tree, hierarchical) and nvls, as "
     "simulated"},
    {AllreduceAlgorithm::Ring, "ring", "2(n-1) steps around a ring"},
    {AllreduceAlgorithm::HalvingDoubling, "halving_doubling",
     "recursive halving and doubling, binary blocks for any count"},
    {AllreduceAlgorithm::Tree, "tree", "double binary tree"},
    {AllreduceAlgorithm::NodeTree, "node_tree",
     "double binary trees of nodes, whose other GPUs hang behind the head in a chain"},
    {AllreduceAlgorithm::Torus, "torus", "reduce-scatter in rows, allreduce in columns, all-gather in rows"},
    {AllreduceAlgorithm::Hierarchical, "hierarchical", "as torus, with the GPUs of a node as a row"},
    {AllreduceAlgorithm::ThreePhase, "three_phase", "reduce in the node, allreduce of leaders, broadcast in the node"},
    {AllreduceAlgorithm::Nvls, "nvls", "additions and copies in NVSwitches, trees between nodes (NVLink SHARP)"},
    {AllreduceAlgorithm::Library, "library", "ring, tree or NVLS and the protocol as the library's own rule says"}};

constexpr Word<WireFormat> kWires[] = {{WireFormat::Auto, "auto", "the training precision"},
                                       {WireFormat::Fp32, "fp32", "4 bytes per value"},
                                       {WireFormat::Fp16, "fp16", "half precision, summed in fp32"},
                                       {WireFormat::Bf16, "bf16", "bfloat16, summed in fp32"}};

constexpr Word<Reduction> kReductions[] = {
    {Reduction::Planned, "planned", "the planner's algorithm"},
    {Reduction::Ordered, "ordered", "by batch-norm group; equal bits for any number of ranks"},
    {Reduction::Mpi, "mpi", "MPI_Allreduce, as a baseline"}};

constexpr Word<Placement> kPlacements[] = {{Placement::Packed, "packed", "ranks fill node after node"},
                                           {Placement::Spread, "spread", "nodes over the whole cluster"},
                                           {Placement::Random, "random", "random nodes, seeded"}};

constexpr Word<FoldMode> kFolds[] = {
    {FoldMode::None, "none", "every rank is simulated"},
    {FoldMode::Exact, "exact", "one of each class of ranks that nothing tells apart; the same result"},
    {FoldMode::Approx, "approx", "a few nodes stand for all, the slowest rank for its expected maximum; fast"}};

constexpr Word<Routing> kRoutings[] = {{Routing::Static, "static", "destination modulo k"},
                                       {Routing::Ecmp, "ecmp", "hash of source and destination"}};

constexpr Word<DataKind> kData[] = {{DataKind::Synthetic, "synthetic", "random images"},
                                    {DataKind::ImagenetFolder, "imagenet_folder", "folders of JPEG"},
                                    {DataKind::Cifar10, "cifar10", "CIFAR-10 binary"},
                                    {DataKind::Idx, "idx", "MNIST and Fashion-MNIST"}};

constexpr Word<Augmentation> kAugmentations[] = {
    {Augmentation::Auto, "auto", "what the kind of data is usually given"},
    {Augmentation::None, "none", "only normalised"},
    {Augmentation::PadCropFlip, "pad_crop_flip", "pad by 4, crop, flip: the CIFAR recipe"},
    {Augmentation::RandomResizedCrop, "random_resized_crop",
     "area 0.08 to 1, aspect 3/4 to 4/3, flip: the ImageNet recipe"}};

constexpr Word<OnBroken> kBroken[] = {{OnBroken::Fail, "fail", "stop and name it"},
                                      {OnBroken::Skip, "skip", "name, count and replace it"}};

constexpr Word<JpegDecoder> kDecoders[] = {
    {JpegDecoder::Auto, "auto", "by nvJPEG on a GPU if the program has it, else by libjpeg"},
    {JpegDecoder::Host, "host", "by libjpeg"},
    {JpegDecoder::Device, "device", "by nvJPEG"}};

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

}  // namespace

std::span<const Word<Precision>> words(Precision) { return kPrecisions; }
std::span<const Word<DeviceKind>> words(DeviceKind) { return kDevices; }
std::span<const Word<Initialization>> words(Initialization) { return kInitializations; }
std::span<const Word<LinearInit>> words(LinearInit) { return kLinear; }
std::span<const Word<NormAverages>> words(NormAverages) { return kAverages; }
std::span<const Word<OptimizerKind>> words(OptimizerKind) { return kOptimizers; }
std::span<const Word<LarsVariant>> words(LarsVariant) { return kLars; }
std::span<const Word<NormKernels>> words(NormKernels) { return kNorms; }
std::span<const Word<UpdateTime>> words(UpdateTime) { return kUpdates; }
std::span<const Word<WarmupKind>> words(WarmupKind) { return kWarmups; }
std::span<const Word<DecayKind>> words(DecayKind) { return kDecays; }
std::span<const Word<WeightDecayKind>> words(WeightDecayKind) { return kWeightDecays; }
std::span<const Word<BucketPolicy>> words(BucketPolicy) { return kBuckets; }
std::span<const Word<AllreduceAlgorithm>> words(AllreduceAlgorithm) { return kAlgorithms; }
std::span<const Word<WireFormat>> words(WireFormat) { return kWires; }
std::span<const Word<Reduction>> words(Reduction) { return kReductions; }
std::span<const Word<Placement>> words(Placement) { return kPlacements; }
std::span<const Word<FoldMode>> words(FoldMode) { return kFolds; }
std::span<const Word<Routing>> words(Routing) { return kRoutings; }
std::span<const Word<DataKind>> words(DataKind) { return kData; }
std::span<const Word<Augmentation>> words(Augmentation) { return kAugmentations; }
std::span<const Word<OnBroken>> words(OnBroken) { return kBroken; }
std::span<const Word<JpegDecoder>> words(JpegDecoder) { return kDecoders; }
std::span<const Word<NetworkKind>> words(NetworkKind) { return kNetworks; }
std::span<const Word<NicTransport>> words(NicTransport) { return kTransports; }
std::span<const Word<TuningRule>> words(TuningRule) { return kTuningRules; }
std::span<const Word<Confidence>> words(Confidence) { return kConfidences; }

std::string unknown_word(const std::string& word, const std::vector<std::string>& known) {
  const std::string near = nearest(word, known);
  return fmt::format("\"{}\" is not known{}; expected one of {}", word,
                     near.empty() ? "" : fmt::format(" (did you mean \"{}\"?)", near), fmt::join(known, ", "));
}

}  // namespace lockstep
