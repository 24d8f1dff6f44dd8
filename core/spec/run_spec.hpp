// What a run file says: plain values with defaults. Parsed once, at the edge (experiments/config_io).
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "core/base/error.hpp"
#include "core/base/ids.hpp"
#include "core/base/units.hpp"

namespace lockstep {

enum class Precision { Fp32, Tf32, Fp16, Bf16 };  ///< of activations and gradients; master weights are always fp32

struct ModelSpec {
  std::string name = "resnet50";  ///< a name of model_names() (core/model/zoo.hpp)
  int image_size = 0;  ///< pixels, square; 0 takes the model's own (224; 32 for the CIFAR nets; 227 for AlexNet)
  int classes = 0;     ///< 0 takes the model's own (1000; 10 for the CIFAR nets)
};

enum class DeviceKind { Cpu, Cuda };
/// How ranks come to the same weights: each draws them from the seed, or rank 0 sends its own.
enum class Initialization { SameSeed, Broadcast };
/// Weights of fully connected layers before the first step; real/tensors/initialise.hpp states them.
enum class LinearInit { Goyal, FanIn };
/// Moving averages of batch norm before an evaluation: rank 0's, the mean over ranks, or taken anew from training images.
enum class NormAverages { Rank0, Mean, Recompute };

struct TrainingSpec {
  double epochs = 90;
  std::int64_t global_batch = 256;  ///< images per optimizer step over all ranks
  int accumulation = 1;             ///< micro-steps per step
  Precision precision = Precision::Fp16;
  DeviceKind device = DeviceKind::Cpu;  ///< of a real run; the simulator ignores it
  std::uint64_t seed = 42;
  double label_smoothing = 0.0;      ///< in [0, 1)
  double evaluate_every = 4;         ///< epochs; 0 evaluates only at the end
  std::int64_t log_every = 100;      ///< steps
  double checkpoint_every = 0;       ///< epochs; 0 = only at the end of a real run
  int checkpoint_keep = 3;           ///< newest checkpoints that are kept, >= 1
  double augmentation_off_from = 0;  ///< epoch from which augmentation is off (Fujitsu: 85); 0 = never
  Initialization initialization = Initialization::SameSeed;
  bool zero_gamma = false;  ///< gamma of each block's last batch norm starts at 0 (Goyal et al., 5.1)
  LinearInit linear_init = LinearInit::Goyal;
  /// Images whose batch-norm statistics are taken together: a micro-step. 0 = those that a rank has in a micro-step, with
  /// `accumulation` of them; else `accumulation` follows: global batch / (ranks x group).
  std::int64_t norm_group = 0;
  NormAverages norm_statistics = NormAverages::Mean;
};

enum class OptimizerKind { Sgd, Nesterov, Lars };
/// The optimizers that the literature calls LARS; core/optim/lars.hpp states each update and its source.
enum class LarsVariant {
  Paper,
  MlperfReference,
  TfModels,
  MxnetMultiLars,
  NvidiaFastV2,
  Fujitsu,
  ApexLarc,
  ApexScale,
  Timm
};
enum class NormKernels { PerLayer, Batched };  ///< LARS norms: one launch per layer, or all layers together (Fujitsu)
enum class UpdateTime { Whole, PerBucket };    ///< one update after all buckets, or as each bucket arrives

struct OptimizerSpec {
  OptimizerKind kind = OptimizerKind::Sgd;
  LarsVariant lars_variant = LarsVariant::Paper;
  double momentum = 0.9;
  bool momentum_correction =
      true;  ///< SGD, Nesterov: velocity times lr_t / lr_{t-1} (Goyal et al., section 3); LARS variants have their own
  double weight_decay = 1e-4;
  double trust = 0.001;            ///< LARS eta
  double epsilon = 0.0;            ///< LARS denominator
  bool skip_bias_and_norm = true;  ///< no decay and no trust ratio on biases, gamma and beta
  NormKernels norms = NormKernels::Batched;
  UpdateTime update = UpdateTime::Whole;
};

enum class WarmupKind { None, Constant, Gradual };
enum class DecayKind { Constant, Step, Linear, Polynomial, Cosine };
/// Whether weight decay follows the warm-up and decay of the rate (Fujitsu).
enum class WeightDecayKind { Constant, WithRate };

struct ScheduleSpec {
  double base_lr = 0.1;  ///< peak rate, after linear scaling if `linear_scaling_base` is set
  std::int64_t linear_scaling_base =
      0;  ///< reference batch of the linear rule: rate = base_lr * global_batch / this; 0 = off
  WarmupKind warmup = WarmupKind::Gradual;
  double warmup_epochs = 5;
  double warmup_start_lr = 0;  ///< rate at the first warm-up step (Goyal: 0.1)
  DecayKind decay = DecayKind::Step;
  std::vector<double> step_epochs = {30, 60, 80};
  double step_factor = 0.1;
  double power = 2;  ///< polynomial
  double end_lr = 0;
  double decay_epochs = 0;         ///< length of the decay after warm-up; 0 = to the end of the run
  bool first_step_is_one = false;  ///< MLPerf MXNet counts steps from 1, the TF reference from 0
  WeightDecayKind weight_decay = WeightDecayKind::Constant;
  std::vector<std::pair<double, std::int64_t>> batches;  ///< (epoch, global batch from there on); empty = constant
};

enum class BucketPolicy { PerTensor, One, Size, Fixed, Ddp, Horovod };

struct BucketsSpec {
  BucketPolicy policy = BucketPolicy::Size;
  Bytes size = Bytes::mib(25);         ///< size: closes at this; ddp: cap; horovod: fusion threshold
  Bytes first = Bytes::mib(1);         ///< ddp: cap of the first bucket
  Time cycle = Time::milliseconds(1);  ///< horovod: negotiation cycle; fixed: poll of the launching thread
  std::vector<int> tensors;            ///< fixed: tensors per bucket in backward order, must sum to the tensor count
  bool separate_fp32 = false;          ///< collect BN gradients in fp32 into one last bucket (Fujitsu)
};

enum class AllreduceAlgorithm {
  Auto,
  Ring,
  HalvingDoubling,
  Tree,
  NodeTree,
  Torus,
  Hierarchical,
  ThreePhase,
  Nvls,
  Library
};

/// Made of an algorithm inside rows or nodes and one across them: torus, hierarchical, three_phase.
bool two_level(AllreduceAlgorithm algorithm);
/// May be asked for as the part of those that goes across, or left to the planner: auto, ring, halving_doubling, tree.
bool goes_across(AllreduceAlgorithm algorithm);

struct BucketAlgorithm {
  AllreduceAlgorithm algorithm = AllreduceAlgorithm::Auto;
  AllreduceAlgorithm across = AllreduceAlgorithm::Auto;  ///< of two_level(): ring, halving_doubling, tree, or auto
  friend bool operator==(const BucketAlgorithm&, const BucketAlgorithm&) = default;
};

/// Gradients in messages: in the training precision, or in one of these; sums are fp32.
enum class WireFormat { Auto, Fp32, Fp16, Bf16 };
/// Who sums in a real run: the planned algorithm; the order of the batch-norm groups, whatever the number of ranks; or MPI_Allreduce.
enum class Reduction { Planned, Ordered, Mpi };

struct AllreduceSpec {
  AllreduceAlgorithm algorithm = AllreduceAlgorithm::Auto;
  AllreduceAlgorithm across = AllreduceAlgorithm::Auto;  ///< between nodes, for torus, hierarchical and three_phase
  /// Of the first buckets, in the order of the backward pass; the last one goes for all others. Empty: `algorithm` for all.
  std::vector<BucketAlgorithm> per_bucket;
  std::string library = "plain";  ///< file stem in data/libraries: protocol costs; or a path
  std::string protocol = "auto";  ///< auto, simple, ll, ll128
  /// Algorithm `Library`: what its rule may choose of ring, tree and nvls, as NCCL_ALGO restricts it; empty = all. One rank takes no notice.
  std::vector<std::string> among;
  int torus_x = 0;         ///< row length; 0 = GPUs per node
  int channels = 0;        ///< rings inside a node; 0 = as many as the topology gives
  Bytes chunk = Bytes(0);  ///< that trees and chains pass on at a time; 0 = trees by size and depth, chains 512 KiB
  int in_flight = 1;       ///< collectives that a rank may have under way at once
  bool overlap = true;     ///< start a bucket as soon as backward has filled it; false: after backward
  bool gpudirect = false;  ///< NIC reads and writes GPU memory even across the host bridge
  WireFormat wire = WireFormat::Auto;
  Reduction reduction = Reduction::Planned;
};

/// Of ranks on nodes: node after node; over the whole cluster; a seeded choice of nodes. A node's ranks stay together.
enum class Placement { Packed, Spread, Random };

struct ClusterRef {
  std::string file;       ///< path, or the stem of a file in data/clusters
  int gpus = 1;           ///< world size
  std::string gpu;        ///< override of the cluster's GPU; empty = its own
  std::string framework;  ///< which single-GPU anchor of the GPU file to use; empty = its first for the precision
  Placement placement = Placement::Packed;
  /// The run uses the anchor's own software. False: another release, so the prediction interval carries the spread
  /// between releases; so it does when several anchors would do and `framework` names none.
  bool same_software = true;
};

/// One value laid over a file that the run names.
struct FileValue {
  std::string key;    ///< dotted; an entry of a list by its number or name: "network.tiers.1.cables"
  std::string value;  ///< TOML
};

/// What the run changes in the files that it names: [cluster_file], [gpu_file], [library_file].
struct FileValues {
  std::vector<FileValue> cluster, gpu, library;
};

struct SlowRank {
  int rank = 0;
  double factor = 1;  ///< compute time is multiplied by this, > 0
};

struct SlowLink {
  std::string link;   ///< a name of sim/network/link_names.hpp, such as "node3.nic0.up"; may hold "*"
  double factor = 1;  ///< share of its rate that is left, > 0
};

/// Which ranks are simulated. None: every one; Exact: one of each class of ranks that nothing tells apart, with the same result; Approx: a
/// few nodes stand for all, the slowest rank for its expected maximum.
enum class FoldMode { None, Exact, Approx };
/// Over several cables: by destination modulo k, or by a hash of source and destination.
enum class Routing { Static, Ecmp };

struct SimulationSpec {
  FoldMode fold = FoldMode::None;
  std::int64_t sampled_steps = 4;  ///< steps simulated per program when noise is on
  bool noise = true;
  double step_jitter = -1;  ///< sigma of a rank's compute time per step, relative; < 0 takes the GPU file's
  double gpu_spread = -1;   ///< sigma of the fixed speed of a GPU, relative; < 0 takes the GPU file's
  std::vector<SlowRank> slow_ranks;
  Routing routing = Routing::Static;
  std::vector<SlowLink> slow_links;
  /// Names as in slow_links. Routes go around them: other cables of the fat tree, another NIC of the node, PCIe for an
  /// NVLink pair, and the rings in the nodes are found anew.
  std::vector<std::string> failed_links;
  double background = 0;  ///< share of the cables between switches that other jobs take on average, [0, 1)
};

/// What the simulator models beyond computation and bytes on links; false leaves the effect out (`simulate --explain` prints them one by one).
/// Noise has its own switch, simulation.noise.
struct EffectsSpec {
  bool small_batch = true;  ///< waves over multiprocessors and the start of every kernel (sim/device/wave_model.hpp)
  bool contention =
      true;  ///< a collective's kernels take multiprocessors and memory bandwidth from the computation beside it
  bool link_latency = true;  ///< latency of cables, adapters and switches
  bool protocol = true;      ///< the library's costs per message and per byte
  bool reduction = true;     ///< time to add what was received
  bool staging = true;       ///< copies through host memory
  bool tcp = true;           ///< what TCP costs a message beyond verbs, and the limit of a connection
  bool coordination = true;  ///< launch, cycle and negotiation of buckets
  bool input = true;         ///< images that come too late
};

enum class DataKind { Synthetic, ImagenetFolder, Cifar10, Idx };
enum class Augmentation { Auto, None, PadCropFlip, RandomResizedCrop };  ///< of training images; Auto: by kind of data
/// What becomes of an image that cannot be read: the run stops, or it is named, counted and replaced.
enum class OnBroken { Fail, Skip };

struct DataSpec {
  DataKind kind = DataKind::Synthetic;
  std::string path;
  std::int64_t training_images = 1281167;
  std::int64_t validation_images = 50000;
  double decode_rate = 0;  ///< images/s that one node can decode and augment; 0 = not limiting
  Bandwidth storage_rate = Bandwidth::bytes_per_second(0);  ///< read rate of one node; 0 = not limiting
  Bytes image_bytes = Bytes(109576);                        ///< mean size of a stored image
  /// Stored images are first averaged over squares of this side (idx and cifar10): 28 x 28 with 2 is 14 x 14. Each
  /// mean is rounded to a whole level of 255; rows and columns that fill no square are left out.
  int shrink = 1;
  Augmentation augmentation = Augmentation::Auto;
  double jitter = 0;    ///< of random_resized_crop: brightness, contrast, saturation each times 1 +- up to this, 0 to 1
  double lighting = 0;  ///< of random_resized_crop: sigma of colour noise along ImageNet's principal axes (usual: 0.1)
  int threads = 1;      ///< that load images on each rank, ahead of the step; 0 = none, the step waits
  OnBroken broken = OnBroken::Fail;
};

/// Where JPEG images are decoded for a GPU: by libjpeg, by nvJPEG, or (Auto) by nvJPEG if the program has it. Their pixels differ slightly.
enum class JpegDecoder { Auto, Host, Device };

/// How a real run uses the machine; the simulator ignores it.
struct RealSpec {
  int threads = 0;            ///< compute threads of a rank; 0 = the cores of the host shared among its ranks
  bool deterministic = true;  ///< only algorithms whose results do not depend on the batch size
  double loss_scale = 0;      ///< factor of gradients in fp16 on a GPU: constant; 0 = dynamic
  bool cuda_graph = true;  ///< a GPU replays whole steps instead of launching kernel by kernel, where shapes allow it
  JpegDecoder jpeg = JpegDecoder::Auto;
  Time timeout =
      Time::seconds(60);  ///< without any progress of a collective, the run ends and names who was waited for
};

/// Times that a simulation cannot derive and takes from a log, with the source in `source`.
struct SetupSpec {
  Time startup = Time::zero();            ///< from run start to the first step
  Time first_epoch_extra = Time::zero();  ///< first epoch beyond its steps (autotuning, cold caches)
  Time evaluation = Time::zero();         ///< one evaluation; zero = derived from forward time
  std::string source;
};

struct OutputSpec {
  std::string directory;               ///< empty = print only
  std::vector<int> trace_ranks = {0};  ///< those that a smaller world does not have are left out
  bool trace = true;
  std::vector<int> curve;  ///< world sizes of the scaling curve; empty = none
  std::string published;   ///< rows of data/published/figures.csv to print beside the prediction; empty = none
};

/// A whole run file. `validate()` finds every fault that needs no other file.
struct RunSpec {
  ModelSpec model;
  TrainingSpec training;
  OptimizerSpec optimizer;
  ScheduleSpec schedule;
  BucketsSpec buckets;
  AllreduceSpec allreduce;
  ClusterRef cluster;
  FileValues files;
  SimulationSpec simulation;
  EffectsSpec effects;
  DataSpec data;
  RealSpec real;
  SetupSpec setup;
  OutputSpec output;
};

/// Contradictions and ranges, with the dotted key of each in Fault::key; Fault::where is left for the edge to fill.
/// Includes: batch not divisible by gpus * accumulation, non-positive or absurdly large counts (more than 1e8 steps),
/// a rate step inside the warm-up, slow ranks that do not exist.
std::vector<Fault> validate(const RunSpec& run);

/// `output.trace_ranks` of this world. Pure.
std::vector<Rank> traced_ranks(const RunSpec& run);

/// The part of validate() about `allreduce.among`.
std::vector<Fault> among_faults(const AllreduceSpec& allreduce);

/// Micro-steps of a step of `global_batch` images: see TrainingSpec::norm_group. >= 1.
int accumulation_at(const RunSpec& run, std::int64_t global_batch);

/// What bucket `bucket` is asked to go by; `across` of the run where its own is auto.
BucketAlgorithm bucket_algorithm(const AllreduceSpec& allreduce, std::size_t bucket);

/// The precision of gradients in messages: `allreduce.wire`, or with "auto" that of the training.
Precision wire_precision(const RunSpec& run);

/// Optimizer steps in one epoch: ceil(training images / global batch), the last one short (MLPerf convention).
std::int64_t steps_per_epoch(std::int64_t training_images, std::int64_t global_batch);

}  // namespace lockstep
