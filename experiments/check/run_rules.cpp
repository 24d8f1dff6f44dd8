// What makes a run implausible together with the files that it names.
#include <fmt/format.h>

#include <algorithm>

#include "core/base/units_text.hpp"
#include "core/model/zoo.hpp"
#include "core/spec/releases.hpp"
#include "core/spec/words.hpp"
#include "experiments/check/rule.hpp"
#include "experiments/check/step_memory.hpp"

namespace lockstep::check {

namespace {

using Doubts = std::vector<Doubt>;

ModelGraph model_of(const Inputs& inputs) {
  return build_model(inputs.run.model.name, inputs.run.model.image_size, inputs.run.model.classes);
}

Doubts batch_memory(const Inputs& inputs) {
  const RunSpec& run = inputs.run;
  std::int64_t batch = run.training.global_batch;
  for (const auto& [epoch, later] : run.schedule.batches) batch = std::max(batch, later);
  const std::int64_t images = std::max<std::int64_t>(1, batch / run.cluster.gpus / accumulation_at(run, batch));
  const Bytes need = least_memory(model_of(inputs), run.training.precision, images);
  if (need <= inputs.gpu.memory.value) return {};
  return {{"training.global_batch",
           fmt::format(
               "{} images per GPU and micro-step need at least {}; {} has {}. Use more GPUs or training.accumulation",
               images, to_text(need), inputs.gpu.name, to_text(inputs.gpu.memory.value))}};
}

Doubts small_batch(const Inputs& inputs) {
  const RunSpec& run = inputs.run;
  constexpr std::int64_t kFew = 8;
  const std::int64_t images =
      run.training.global_batch / run.cluster.gpus / accumulation_at(run, run.training.global_batch);
  const ModelGraph graph = model_of(inputs);
  const bool norms = std::any_of(graph.layers.begin(), graph.layers.end(),
                                 [](const Layer& l) { return l.kind == LayerKind::BatchNorm; });
  if (!norms || images >= kFew) return {};
  return {
      {"training.global_batch",
       fmt::format("{} images per GPU and micro-step: batch-norm statistics of fewer than {} are too noisy to train on "
                   "(Goyal et al. 2017 keep 32)",
                   images, kFew)}};
}

Doubts part_node(const Inputs& inputs) {
  const int gpus = inputs.run.cluster.gpus, node = inputs.cluster.node.gpus;
  if (gpus <= node || gpus % node == 0) return {};
  return {{"cluster.gpus", fmt::format("{} GPUs leave {} of the last node's {} idle", gpus, node - gpus % node, node)}};
}

Doubts unanchored(const Inputs& inputs) {
  const Precision precision = inputs.run.training.precision;
  if (find_anchor(inputs.gpu, precision, inputs.run.cluster.framework) >= 0 || !inputs.gpu.profile.empty()) return {};
  if (const int named = anchor_in_nchw(inputs.gpu, precision); named >= 0)
    return {{"cluster.framework",
             fmt::format(
                 "{} has a single-GPU throughput in {} in NCHW alone, which a run must name (\"{}\"): other times "
                 "are the bare model's, 25 % either way",
                 inputs.gpu.name, word_of(precision), inputs.gpu.anchors[static_cast<std::size_t>(named)].framework)}};
  return {{"training.precision",
           fmt::format("{} has no single-GPU throughput in {}: its times are the bare model's, scaled as its anchor of "
                       "the nearest precision on the same units if it has one, 25 % either way. "
                       "`lockstep calibrate` measures the machine it runs on",
                       inputs.gpu.name, word_of(precision))}};
}

Doubts lacks_format(const Inputs& inputs) {
  const Precision precision = inputs.run.training.precision;
  if (computed_as(inputs.gpu, precision) == precision) return {};
  return {{"training.precision",
           fmt::format("{} has no units for {}, which begin with compute capability 80; it is computed as fp32",
                       inputs.gpu.name, word_of(precision))}};
}

/// Not of algorithm "library", which knows when LL128 is allowed.
Doubts ll128(const Inputs& inputs) {
  const NodeSpec& node = inputs.cluster.node;
  if (inputs.run.cluster.gpus <= node.gpus || node.pcie.switches.empty()) return {};
  if (inputs.run.allreduce.algorithm == AllreduceAlgorithm::Library || node.nics_beside(node.gpus)) return {};
  const std::string& chosen = inputs.run.allreduce.protocol;
  const auto& protocols = inputs.library.protocols;
  const bool has = std::any_of(protocols.begin(), protocols.end(),
                               [](const ProtocolSpec& p) { return p.kind() == ProtocolKind::Ll128; });
  if (!has || (chosen != "ll128" && chosen != "auto")) return {};
  return {{"allreduce.protocol",
           fmt::format(
               "\"{}\" may take LL128 between nodes, which NCCL uses only where GPU and NIC share a PCIe switch; on {} "
               "they do not. Write \"simple\"",
               chosen, inputs.cluster.name)}};
}

Doubts gpudirect(const Inputs& inputs) {
  if (!inputs.run.allreduce.gpudirect || !inputs.library.host_memory) return {};
  return {{"allreduce.gpudirect",
           fmt::format("library {} sends from host memory, so GPUDirect changes nothing", inputs.library.name)}};
}

constexpr Rule<Inputs> kRules[] = {
    {"batch_memory", "a batch that fits the GPU's memory", batch_memory},
    {"small_batch", "at least 8 images per GPU under batch norm", small_batch},
    {"part_node", "whole nodes", part_node},
    {"unanchored", "a GPU with a throughput in the run's precision", unanchored},
    {"format", "a precision that the GPU has units for", lacks_format},
    {"ll128", "LL128 between nodes only below a common PCIe switch", ll128},
    {"gpudirect", "GPUDirect only for libraries that send from the GPU", gpudirect},
};

}  // namespace

std::vector<Doubt> machine_doubts(const Inputs& inputs) {
  std::vector<Doubt> out = batch_memory(inputs);
  for (Doubt& doubt : lacks_format(inputs)) out.push_back(std::move(doubt));
  return out;
}

std::vector<std::string> machine_warnings(const Inputs& inputs) {
  std::vector<std::string> lines;
  for (const Doubt& doubt : machine_doubts(inputs)) lines.push_back(doubt.key + ": " + doubt.message);
  return lines;
}

std::span<const Rule<Inputs>> run_rules() { return kRules; }

}  // namespace lockstep::check
