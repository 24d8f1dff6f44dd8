#include "core/spec/run_spec.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "core/spec/checker.hpp"
#include "core/spec/words.hpp"

namespace lockstep {

namespace {

// Far beyond any run that was ever made, and small enough that products of two of them stay exact in 64 bits.
constexpr std::int64_t kMostImages = 1'000'000'000'000;
constexpr std::int64_t kMostSteps = 100'000'000;
constexpr int kMostGpus = 1'000'000;

}  // namespace

bool two_level(AllreduceAlgorithm a) {
  return a == AllreduceAlgorithm::Torus || a == AllreduceAlgorithm::Hierarchical || a == AllreduceAlgorithm::ThreePhase;
}

bool goes_across(AllreduceAlgorithm a) {
  return a == AllreduceAlgorithm::Auto || a == AllreduceAlgorithm::Ring || a == AllreduceAlgorithm::HalvingDoubling ||
         a == AllreduceAlgorithm::Tree;
}

BucketAlgorithm bucket_algorithm(const AllreduceSpec& allreduce, std::size_t bucket) {
  BucketAlgorithm asked{allreduce.algorithm, allreduce.across};
  if (!allreduce.per_bucket.empty()) {
    const BucketAlgorithm& own = allreduce.per_bucket[std::min(bucket, allreduce.per_bucket.size() - 1)];
    asked.algorithm = own.algorithm;
    if (own.across != AllreduceAlgorithm::Auto) asked.across = own.across;
  }
  return asked;
}

std::vector<Fault> among_faults(const AllreduceSpec& allreduce) {
  Checker c("run file");
  const std::vector<std::string>& among = allreduce.among;
  const std::vector<std::string> known{"ring", "tree", "nvls"};
  for (auto it = among.begin(); it != among.end(); ++it) {
    if (std::find(known.begin(), known.end(), *it) == known.end())
      c.expect(false, "allreduce.among", "{}", unknown_word(*it, known));
    c.expect(std::find(among.begin(), it, *it) == it, "allreduce.among", "\"{}\" stands there twice; expected it once",
             *it);
  }
  c.expect(among.empty() || allreduce.algorithm == AllreduceAlgorithm::Library, "allreduce.among",
           "restricts the choice of the library; expected algorithm \"library\" beside it, or no among");
  return c.faults;
}

namespace {

void check_model(Checker& c, const RunSpec& run) {
  c.expect(run.model.image_size >= 0 && run.model.image_size <= 8192, "model.image_size",
           "{} is not an image size; expected 1 to 8192, or 0 for the model's own", run.model.image_size);
  c.expect(run.model.classes >= 0 && run.model.classes <= 1'000'000, "model.classes",
           "{} classes; expected 1 to 1000000, or 0 for the model's own", run.model.classes);
}

void check_training(Checker& c, const RunSpec& run) {
  const TrainingSpec& t = run.training;
  c.expect(std::isfinite(t.epochs) && t.epochs > 0, "training.epochs", "{} epochs; expected more than 0", t.epochs);
  c.expect(t.global_batch >= 1 && t.global_batch <= 1'000'000'000, "training.global_batch",
           "{} images; expected 1 to 1000000000", t.global_batch);
  c.expect(t.accumulation >= 1 && t.accumulation <= 10'000, "training.accumulation",
           "{} micro-steps; expected 1 to 10000", t.accumulation);
  c.expect(t.label_smoothing >= 0 && t.label_smoothing < 1, "training.label_smoothing",
           "{} is out of range; expected 0 <= smoothing < 1", t.label_smoothing);
  c.expect(t.evaluate_every >= 0, "training.evaluate_every", "{} epochs; expected 0 (only at the end) or more",
           t.evaluate_every);
  c.expect(t.checkpoint_every >= 0, "training.checkpoint_every", "{} epochs; expected 0 (only at the end) or more",
           t.checkpoint_every);
  c.expect(t.augmentation_off_from >= 0, "training.augmentation_off_from", "epoch {}; expected 0 (never) or more",
           t.augmentation_off_from);
  c.expect(t.log_every >= 1, "training.log_every", "{} steps; expected at least 1", t.log_every);
  c.expect(t.norm_group >= 0, "training.norm_group", "{} images; expected 1 or more, or 0 for those of a micro-step",
           t.norm_group);
  c.expect(t.norm_group <= 0 || t.accumulation == 1, "training.accumulation",
           "{} micro-steps and a batch-norm group of {} contradict each other; leave accumulation out: it follows",
           t.accumulation, t.norm_group);
  c.expect(t.checkpoint_keep >= 1, "training.checkpoint_keep", "{} checkpoints; expected at least 1",
           t.checkpoint_keep);
}

/// Every global batch is divisible among the GPUs.
void check_batches(Checker& c, const RunSpec& run) {
  const TrainingSpec& t = run.training;
  const int gpus = run.cluster.gpus;
  const auto divisible = [&](std::int64_t batch, const std::string& key) {
    if (gpus < 1 || t.accumulation < 1 || batch < 1) return;
    const std::int64_t unit = gpus * (t.norm_group > 0 ? t.norm_group : std::int64_t{t.accumulation});
    if (batch % unit == 0) return;
    const std::int64_t below = batch / unit * unit;
    c.expect(false, key, "{} images are not divisible by {} GPUs{}; expected a multiple of {}, such as {}", batch, gpus,
             t.norm_group > 0     ? fmt::format(" x {} images of a batch-norm group", t.norm_group)
             : t.accumulation > 1 ? fmt::format(" x {} micro-steps", t.accumulation)
                                  : "",
             unit, below > 0 ? below : unit);
  };
  divisible(t.global_batch, "training.global_batch");
  for (const auto& [epoch, batch] : run.schedule.batches) {
    c.expect(epoch >= 0 && batch >= 1 && batch <= 1'000'000'000, "schedule.batches",
             "({}, {}) is not an epoch and a batch; expected epoch >= 0 and batch from 1 to 1000000000", epoch, batch);
    divisible(batch, "schedule.batches");
  }
  c.expect(std::is_sorted(run.schedule.batches.begin(), run.schedule.batches.end()), "schedule.batches",
           "epochs are not in ascending order");
}

void check_optimizer(Checker& c, const RunSpec& run) {
  const auto& o = run.optimizer;
  c.expect(o.momentum >= 0 && o.momentum < 1, "optimizer.momentum", "{} is out of range; expected 0 <= momentum < 1",
           o.momentum);
  c.expect(o.weight_decay >= 0, "optimizer.weight_decay", "{} is negative; expected 0 or more", o.weight_decay);
  c.expect(o.trust > 0, "optimizer.trust", "{} is not a trust coefficient; expected more than 0, such as 0.001",
           o.trust);
  c.expect(o.epsilon >= 0, "optimizer.epsilon", "{} is negative; expected 0 or more", o.epsilon);
}

void check_schedule(Checker& c, const RunSpec& run) {
  const TrainingSpec& t = run.training;
  const auto& s = run.schedule;
  c.expect(s.base_lr > 0, "schedule.base_lr", "{} is not a rate; expected more than 0", s.base_lr);
  c.expect(s.linear_scaling_base >= 0, "schedule.linear_scaling_base",
           "{} images; expected a reference batch such as 256, or 0 for off", s.linear_scaling_base);
  c.expect(s.warmup_epochs >= 0, "schedule.warmup_epochs", "{} epochs; expected 0 or more", s.warmup_epochs);
  c.expect(s.warmup_start_lr >= 0, "schedule.warmup_start_lr", "{} is negative; expected 0 or more", s.warmup_start_lr);
  c.expect(s.end_lr >= 0, "schedule.end_lr", "{} is negative; expected 0 or more", s.end_lr);
  c.expect(s.power > 0, "schedule.power", "{} is not a power; expected more than 0", s.power);
  c.expect(s.step_factor > 0 && s.step_factor <= 1, "schedule.step_factor",
           "{} is out of range; expected 0 < factor <= 1", s.step_factor);
  c.expect(std::is_sorted(s.step_epochs.begin(), s.step_epochs.end()), "schedule.step_epochs",
           "epochs are not in ascending order");
  // A warm-up as long as the run is shortened with a warning by the loop; then the steps are never reached.
  const double warmup = s.warmup == WarmupKind::None ? 0 : s.warmup_epochs;
  if (s.decay == DecayKind::Step && !s.step_epochs.empty() && warmup < t.epochs) {
    c.expect(s.step_epochs.front() >= warmup, "schedule.step_epochs",
             "the rate drops at epoch {}, inside the warm-up of {} epochs; expected {} or later", s.step_epochs.front(),
             warmup, warmup);
  }
  c.expect(s.decay_epochs >= 0, "schedule.decay_epochs", "{} epochs; expected 0 (to the end of the run) or more",
           s.decay_epochs);
}

void check_buckets(Checker& c, const RunSpec& run) {
  const auto& b = run.buckets;
  c.expect(b.size > Bytes(0), "buckets.size", "{} bytes; expected more than 0", b.size.count());
  c.expect(b.first > Bytes(0), "buckets.first", "{} bytes; expected more than 0", b.first.count());
  c.expect(b.policy != BucketPolicy::Horovod || b.cycle > Time::zero(), "buckets.cycle",
           "horovod needs a cycle longer than 0, such as \"1ms\"");
  c.expect(b.policy != BucketPolicy::Fixed || !b.tensors.empty(), "buckets.tensors",
           "policy fixed needs the number of tensors of each bucket, such as [3, 21, 57, 80]");
  for (int n : b.tensors) c.expect(n >= 1, "buckets.tensors", "a bucket of {} tensors; expected at least 1", n);
}

void check_allreduce(Checker& c, const RunSpec& run) {
  const TrainingSpec& t = run.training;
  const int gpus = run.cluster.gpus;
  const auto& a = run.allreduce;
  c.expect(goes_across(a.across), "allreduce.across", "between nodes expected auto, ring, halving_doubling or tree");
  c.expect(a.per_bucket.empty() || a.algorithm != AllreduceAlgorithm::Library, "allreduce.per_bucket",
           "algorithm \"library\" chooses for every bucket itself; expected another algorithm, or no per_bucket");
  for (const BucketAlgorithm& b : a.per_bucket) {
    c.expect(b.algorithm != AllreduceAlgorithm::Library, "allreduce.per_bucket",
             "the library's rule goes for all buckets or none; expected algorithm = \"library\" without per_bucket");
    c.expect(two_level(b.algorithm) ? goes_across(b.across) : b.across == AllreduceAlgorithm::Auto,
             "allreduce.per_bucket",
             "expected \"ring\", or \"hierarchical/tree\" with ring, halving_doubling or tree after torus, "
             "hierarchical or three_phase");
  }
  for (Fault& f : among_faults(a)) c.faults.push_back(std::move(f));
  c.expect(a.chunk >= Bytes(0), "allreduce.chunk", "{} bytes; expected more than 0, or 0 for trees by size and depth",
           a.chunk.count());
  c.expect(a.in_flight >= 1, "allreduce.in_flight", "{} collectives at once; expected at least 1", a.in_flight);
  c.expect(a.channels >= 0, "allreduce.channels", "{} channels; expected 1 or more, or 0 for all", a.channels);
  c.expect(a.torus_x >= 0, "allreduce.torus_x", "rows of {}; expected 1 or more, or 0 for the GPUs of a node",
           a.torus_x);
  if (a.torus_x > 0 && gpus >= 1)
    c.expect(gpus % a.torus_x == 0, "allreduce.torus_x", "{} GPUs do not fill rows of {}", gpus, a.torus_x);

  c.expect(a.reduction != Reduction::Ordered || t.norm_group > 0, "allreduce.reduction",
           "ordered sums go batch-norm group by group; expected training.norm_group, such as 32");
}

void check_simulation(Checker& c, const RunSpec& run) {
  const int last_rank = std::max(1, run.cluster.gpus) - 1;
  const auto& m = run.simulation;
  c.expect(m.sampled_steps >= 1, "simulation.sampled_steps", "{} steps; expected at least 1", m.sampled_steps);
  c.expect(m.step_jitter < 0.5, "simulation.step_jitter", "{} is out of range; expected a relative sigma below 0.5",
           m.step_jitter);
  c.expect(m.gpu_spread < 0.5, "simulation.gpu_spread", "{} is out of range; expected a relative sigma below 0.5",
           m.gpu_spread);
  for (const SlowRank& slow : m.slow_ranks) {
    c.expect(slow.rank >= 0 && slow.rank <= last_rank, "simulation.slow_ranks",
             "rank {} does not exist; ranks are 0 to {}", slow.rank, last_rank);
    c.expect(slow.factor > 0, "simulation.slow_ranks", "factor {}; expected more than 0 (1.3 = 30 % slower)",
             slow.factor);
  }

  for (const SlowLink& slow : m.slow_links) {
    c.expect(!slow.link.empty(), "simulation.slow_links", "no link is named; expected one such as \"node3.nic0.up\"");
    c.expect(slow.factor > 0 && slow.factor <= 1000, "simulation.slow_links",
             "factor {} of {}; expected more than 0, such as 0.5 (for a dead link: simulation.failed_links)",
             slow.factor, slow.link);
  }
  for (const std::string& link : m.failed_links)
    c.expect(!link.empty(), "simulation.failed_links", "no link is named; expected one such as \"node3.nic0\"");
  c.expect(m.background >= 0 && m.background <= 0.95, "simulation.background",
           "{} is out of range; expected a share from 0 (no other jobs) to 0.95", m.background);
}

void check_data(Checker& c, const RunSpec& run) {
  const auto& d = run.data;
  c.expect(d.training_images >= 1 && d.training_images <= kMostImages, "data.training_images",
           "{} images; expected 1 to {}", d.training_images, kMostImages);
  c.expect(d.validation_images >= 0 && d.validation_images <= kMostImages, "data.validation_images",
           "{} images; expected 0 to {}", d.validation_images, kMostImages);
  c.expect(d.shrink >= 1 && d.shrink <= 256, "data.shrink", "{} pixels; expected 1 (as stored) to 256", d.shrink);
  c.expect(d.shrink <= 1 || d.kind == DataKind::Idx || d.kind == DataKind::Cifar10, "data.shrink",
           "images of kind {} cannot be averaged; expected kind idx or cifar10, or leave it out", word_of(d.kind));
  c.expect(d.jitter >= 0 && d.jitter <= 1, "data.jitter", "{}; expected 0 (off) to 1, usual is 0.4", d.jitter);
  c.expect(d.lighting >= 0 && d.lighting <= 10, "data.lighting", "{}; expected 0 (off) to 10, usual is 0.1",
           d.lighting);
  c.expect(d.threads >= 0 && d.threads <= 1024, "data.threads", "{} threads; expected 0 to 1024", d.threads);
  c.expect(d.decode_rate >= 0, "data.decode_rate", "{} images/s; expected 0 (not limiting) or more", d.decode_rate);
  c.expect(d.image_bytes > Bytes(0) && d.image_bytes <= Bytes::gib(1), "data.image_bytes",
           "{} bytes; expected more than 0, at most 1 GiB", d.image_bytes.count());
}

/// No more steps than a run could take.
void check_steps(Checker& c, const RunSpec& run) {
  const TrainingSpec& t = run.training;
  const DataSpec& d = run.data;
  if (t.global_batch >= 1 && d.training_images >= 1 && t.epochs > 0) {
    std::int64_t smallest = t.global_batch;
    for (const auto& [epoch, batch] : run.schedule.batches)
      smallest = std::min(smallest, std::max<std::int64_t>(1, batch));
    const double steps = t.epochs * static_cast<double>(d.training_images) / static_cast<double>(smallest);
    c.expect(steps <= static_cast<double>(kMostSteps), "training.epochs",
             "{} epochs of {} images are about {:.3g} steps; expected at most {}", t.epochs, d.training_images, steps,
             kMostSteps);
  }
}

void check_real(Checker& c, const RunSpec& run) {
  c.expect(run.real.threads >= 0 && run.real.threads <= 4096, "real.threads",
           "{} threads; expected 1 to 4096, or 0 for the host's cores shared among its ranks", run.real.threads);
  c.expect(run.real.loss_scale >= 0 && run.real.loss_scale <= 16777216, "real.loss_scale",
           "{}; expected 0 (dynamic) or a factor of at most 16777216", run.real.loss_scale);
  c.expect(run.real.jpeg != JpegDecoder::Device || run.training.device == DeviceKind::Cuda, "real.jpeg",
           "\"device\" decodes on a GPU; expected training.device = \"cuda\" with it, or \"{}\"", "auto");
  c.expect(run.real.timeout > Time::zero(), "real.timeout", "expected more than 0, such as \"60s\"");
}

}  // namespace

std::vector<Fault> validate(const RunSpec& run) {
  Checker c("run file");
  check_model(c, run);
  check_training(c, run);
  const int gpus = run.cluster.gpus;
  c.expect(gpus >= 1 && gpus <= kMostGpus, "cluster.gpus", "{} GPUs; expected 1 to {}", gpus, kMostGpus);
  check_batches(c, run);
  check_optimizer(c, run);
  check_schedule(c, run);
  check_buckets(c, run);
  check_allreduce(c, run);
  check_simulation(c, run);
  check_data(c, run);
  check_steps(c, run);
  check_real(c, run);
  for (const int rank : run.output.trace_ranks) {
    c.expect(rank >= 0, "output.trace_ranks", "rank {} does not exist; ranks begin at 0", rank);
  }
  return std::move(c.faults);
}

std::vector<Rank> traced_ranks(const RunSpec& run) {
  std::vector<Rank> ranks;
  for (const int rank : run.output.trace_ranks) {
    if (rank >= 0 && rank < run.cluster.gpus) ranks.emplace_back(rank);
  }
  return ranks;
}

int accumulation_at(const RunSpec& run, std::int64_t global_batch) {
  if (run.training.norm_group == 0) return run.training.accumulation;
  return static_cast<int>(std::max<std::int64_t>(1, global_batch / (run.cluster.gpus * run.training.norm_group)));
}

Precision wire_precision(const RunSpec& run) {
  switch (run.allreduce.wire) {
    case WireFormat::Fp32: return Precision::Fp32;
    case WireFormat::Fp16: return Precision::Fp16;
    case WireFormat::Bf16: return Precision::Bf16;
    case WireFormat::Auto: break;
  }
  return run.training.precision;
}

std::int64_t steps_per_epoch(std::int64_t training_images, std::int64_t global_batch) {
  return (training_images + global_batch - 1) / global_batch;
}

}  // namespace lockstep
