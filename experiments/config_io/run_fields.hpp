// Every key of the run file, once: reading, writing and `lockstep list keys` walk the same list, so they cannot disagree.
#pragma once

#include "core/spec/run_spec.hpp"

namespace lockstep {

/// Calls visit.section("model"), then visit("name", run.model.name, "network, ..."), ... in the order of the file, the last a phrase for
/// people; visit.values(section, list, phrase) for a section without fixed keys. `Run` is RunSpec or const RunSpec.
template <class Run, class Visitor>
void visit_run(Run& run, Visitor&& visit) {
  visit.section("model");
  visit("name", run.model.name, "network, of `lockstep list models`");
  visit("image_size", run.model.image_size, "side of the square images, pixels; 0 = the model's own");
  visit("classes", run.model.classes, "0 = the model's own");

  visit.section("training");
  visit("epochs", run.training.epochs, "length of the run");
  visit("global_batch", run.training.global_batch, "images per optimizer step over all ranks");
  visit("accumulation", run.training.accumulation, "micro-steps per step");
  visit("precision", run.training.precision, "of activations and gradients");
  visit("device", run.training.device, "of a real run");
  visit("seed", run.training.seed, "of weights, order of images, augmentation and noise");
  visit("label_smoothing", run.training.label_smoothing, "from 0 to less than 1");
  visit("evaluate_every", run.training.evaluate_every, "epochs; 0 = at the end only");
  visit("log_every", run.training.log_every, "steps");
  visit("checkpoint_every", run.training.checkpoint_every, "epochs; 0 = at the end only");
  visit("augmentation_off_from", run.training.augmentation_off_from,
        "epoch from which images are not augmented; 0 = never");
  visit("checkpoint_keep", run.training.checkpoint_keep, "newest checkpoints that stay");
  visit("initialization", run.training.initialization, "how ranks come to the same weights");
  visit("zero_gamma", run.training.zero_gamma, "gamma of each block's last batch norm starts at 0");
  visit("linear_init", run.training.linear_init, "weights of fully connected layers");
  visit("norm_group", run.training.norm_group,
        "images whose batch-norm statistics are taken together; 0 = those of a micro-step");
  visit("norm_statistics", run.training.norm_statistics, "moving averages before an evaluation");

  visit.section("optimizer");
  visit("kind", run.optimizer.kind, "rule of the update");
  visit("lars_variant", run.optimizer.lars_variant, "which of the updates that are called LARS");
  visit("momentum", run.optimizer.momentum, "factor of the velocity, 0 to less than 1");
  visit("momentum_correction", run.optimizer.momentum_correction,
        "SGD and Nesterov: velocity follows changes of the rate");
  visit("weight_decay", run.optimizer.weight_decay, "L2 factor");
  visit("trust", run.optimizer.trust, "eta of LARS");
  visit("epsilon", run.optimizer.epsilon, "in the denominator of LARS");
  visit("skip_bias_and_norm", run.optimizer.skip_bias_and_norm,
        "no decay and no trust ratio for biases, gamma and beta");
  visit("norms", run.optimizer.norms, "kernels of the norms of LARS");
  visit("update", run.optimizer.update, "when weights are updated");

  visit.section("schedule");
  visit("base_lr", run.schedule.base_lr, "peak rate, after linear scaling");
  visit("linear_scaling_base", run.schedule.linear_scaling_base,
        "batch for which base_lr is meant: rate = base_lr x global batch / this; 0 = as it stands");
  visit("warmup", run.schedule.warmup, "how the rate rises at the start");
  visit("warmup_epochs", run.schedule.warmup_epochs, "length of the warm-up");
  visit("warmup_start_lr", run.schedule.warmup_start_lr, "rate of the first step of a gradual warm-up");
  visit("decay", run.schedule.decay, "how the rate falls after the warm-up");
  visit("step_epochs", run.schedule.step_epochs, "epochs at which the rate is multiplied by step_factor");
  visit("step_factor", run.schedule.step_factor, "of the rate at each of step_epochs");
  visit("power", run.schedule.power, "of polynomial decay");
  visit("end_lr", run.schedule.end_lr, "rate at the end of linear, polynomial and cosine decay");
  visit("decay_epochs", run.schedule.decay_epochs, "length of the decay after warm-up; 0 = to the end");
  visit("first_step_is_one", run.schedule.first_step_is_one, "count steps from 1");
  visit("weight_decay", run.schedule.weight_decay, "whether decay follows the rate");
  visit("batches", run.schedule.batches, "global batch by epoch, such as [[30, 1024], [60, 2048]]");

  visit.section("buckets");
  visit("policy", run.buckets.policy, "how gradients are collected for an allreduce");
  visit("size", run.buckets.size, "policy size: a bucket closes at this; ddp: cap; horovod: fusion threshold");
  visit("first", run.buckets.first, "ddp: cap of the first bucket");
  visit("cycle", run.buckets.cycle, "horovod: time between negotiations; fixed: poll of the launching thread");
  visit("tensors", run.buckets.tensors, "fixed: tensors per bucket in the order of the backward pass");
  visit("separate_fp32", run.buckets.separate_fp32, "gradients of batch norm in fp32, in one last bucket");

  visit.section("allreduce");
  visit("algorithm", run.allreduce.algorithm, "of every bucket, unless per_bucket");
  visit("across", run.allreduce.across, "between nodes, for torus, hierarchical and three_phase");
  visit("per_bucket", run.allreduce.per_bucket,
        "algorithms of the first buckets, such as [\"tree\", \"hierarchical/ring\"], the last for all others; [] = "
        "algorithm");
  visit("library", run.allreduce.library, "costs and protocols: of `lockstep list libraries`, or a path");
  visit("protocol", run.allreduce.protocol, "of the library; auto = its own choice");
  visit("among", run.allreduce.among,
        "algorithm library: what it may choose of ring, tree, nvls (NCCL_ALGO); [] = all");
  visit("torus_x", run.allreduce.torus_x, "ranks of a row; 0 = GPUs per node");
  visit("channels", run.allreduce.channels, "rings in a node; 0 = as many as its links give");
  visit("chunk", run.allreduce.chunk,
        "what trees and chains pass on at a time; 0 = trees by size and depth, chains 512 KiB");
  visit("in_flight", run.allreduce.in_flight, "collectives that a rank may have under way at once");
  visit("overlap", run.allreduce.overlap,
        "start a bucket when the backward pass has filled it; false = after the backward pass");
  visit("gpudirect", run.allreduce.gpudirect, "adapters read and write GPU memory");
  visit("wire", run.allreduce.wire, "gradients in messages");
  visit("reduction", run.allreduce.reduction, "of a real run: who sums");

  visit.section("cluster");
  visit("file", run.cluster.file, "of `lockstep list clusters`, or a path");
  visit("gpus", run.cluster.gpus, "ranks");
  visit("gpu", run.cluster.gpu, "another GPU in its nodes, of `lockstep list gpus`, or a path; \"\" = its own");
  visit("framework", run.cluster.framework,
        "anchor of the GPU file, such as \"mxnet-20.12\"; \"\" = the first of the precision, none of NCHW");
  visit("placement", run.cluster.placement, "of ranks on nodes");
  visit("same_software", run.cluster.same_software,
        "false: another release than the anchor's, so the interval is wider");
  visit.values("cluster_file", run.files.cluster, "laid over the cluster file, such as node.nic.count = 2");
  visit.values("gpu_file", run.files.gpu, "laid over the GPU file, such as memory_achieved = \"900GBps\"");
  visit.values("library_file", run.files.library, "laid over the library file, such as launch = \"10us\"");

  visit.section("simulation");
  visit("fold", run.simulation.fold, "which ranks are simulated");
  visit("sampled_steps", run.simulation.sampled_steps, "steps that are simulated when there is noise");
  visit("noise", run.simulation.noise, "noise of steps and spread of GPUs");
  visit("step_jitter", run.simulation.step_jitter,
        "sigma of a rank's compute time from step to step, relative; -1 = the GPU file's");
  visit("gpu_spread", run.simulation.gpu_spread, "sigma of the speed of GPUs, relative; -1 = the GPU file's");
  visit("slow_ranks", run.simulation.slow_ranks, "such as [{ rank = 3, factor = 1.3 }]: compute time x 1.3");
  visit("routing", run.simulation.routing, "over several cables");
  visit("slow_links", run.simulation.slow_links, "such as [{ link = \"node3.nic0.up\", factor = 0.5 }]: half its rate");
  visit("failed_links", run.simulation.failed_links, "such as [\"node3.nic0.up\"]; traffic goes around them");
  visit("background", run.simulation.background,
        "share of the cables between switches that other jobs take, 0 to less than 1");

  visit.section("effects");
  visit("small_batch", run.effects.small_batch, "waves over multiprocessors, the start of kernels");
  visit("contention", run.effects.contention, "collectives take multiprocessors and memory bandwidth");
  visit("link_latency", run.effects.link_latency, "latency of cables, adapters and switches");
  visit("protocol", run.effects.protocol, "the library's costs per message and per byte");
  visit("reduction", run.effects.reduction, "time to add what was received");
  visit("staging", run.effects.staging, "copies through host memory");
  visit("tcp", run.effects.tcp, "what TCP costs a message, the limit of a connection");
  visit("coordination", run.effects.coordination, "launch, cycle and negotiation of buckets");
  visit("input", run.effects.input, "images that come too late");

  visit.section("data");
  visit("kind", run.data.kind, "where images come from");
  visit("path", run.data.path, "of the images");
  visit("training_images", run.data.training_images, "images in an epoch");
  visit("validation_images", run.data.validation_images, "images in an evaluation");
  visit("decode_rate", run.data.decode_rate, "images/s that one node decodes and augments; 0 = no limit");
  visit("storage_rate", run.data.storage_rate, "what one node reads per second; 0 = no limit");
  visit("image_bytes", run.data.image_bytes, "mean size of a stored image");
  visit("shrink", run.data.shrink, "images are averaged over squares of this side first");
  visit("augmentation", run.data.augmentation, "of training images");
  visit("jitter", run.data.jitter, "of brightness, contrast and saturation: x 1 +- up to this, 0 to 1");
  visit("lighting", run.data.lighting, "sigma of colour noise along ImageNet's principal axes");
  visit("threads", run.data.threads, "that load images ahead of the step; 0 = the step waits");
  visit("broken", run.data.broken, "an image that cannot be read");

  visit.section("real");
  visit("threads", run.real.threads, "compute threads of a rank; 0 = its share of the cores");
  visit("deterministic", run.real.deterministic, "only algorithms whose results do not depend on the batch size");
  visit("loss_scale", run.real.loss_scale, "of gradients in fp16 on a GPU; 0 = dynamic");
  visit("cuda_graph", run.real.cuda_graph, "a GPU replays whole steps");
  visit("jpeg", run.real.jpeg, "where images are decoded for a GPU");
  visit("timeout", run.real.timeout, "without progress of a collective the run ends");

  visit.section("setup");
  visit("startup", run.setup.startup, "from the start of the run to the first step");
  visit("first_epoch_extra", run.setup.first_epoch_extra, "of the first epoch beyond its steps");
  visit("evaluation", run.setup.evaluation, "one evaluation; 0 = from the forward pass");
  visit("source", run.setup.source, "where these times come from");

  visit.section("output");
  visit("directory", run.output.directory, "\"\" = print only");
  visit("trace_ranks", run.output.trace_ranks, "ranks in the trace");
  visit("trace", run.output.trace, "write trace.json");
  visit("curve", run.output.curve, "world sizes of the scaling curve; [] = none");
  visit("published", run.output.published, "row of published/figures.csv to print beside the prediction");
}

}  // namespace lockstep
