// Every key of the run file, once: reading and writing walk the same list, so they cannot disagree.
#pragma once

#include "core/spec/run_spec.hpp"

namespace lockstep {

/// Calls visit.section("model"), then visit("name", run.model.name), ... in the order of the file; visit.values(section,
/// list) for a section without fixed keys. `Run` is RunSpec or const RunSpec.
template <class Run, class Visitor>
void visit_run(Run& run, Visitor&& visit) {
  visit.section("model");
  visit("name", run.model.name);
  visit("image_size", run.model.image_size);
  visit("classes", run.model.classes);

  visit.section("training");
  visit("epochs", run.training.epochs);
  visit("global_batch", run.training.global_batch);
  visit("accumulation", run.training.accumulation);
  visit("precision", run.training.precision);
  visit("device", run.training.device);
  visit("seed", run.training.seed);
  visit("label_smoothing", run.training.label_smoothing);
  visit("evaluate_every", run.training.evaluate_every);
  visit("log_every", run.training.log_every);
  visit("checkpoint_every", run.training.checkpoint_every);
  visit("augmentation_off_from", run.training.augmentation_off_from);
  visit("checkpoint_keep", run.training.checkpoint_keep);
  visit("initialization", run.training.initialization);
  visit("zero_gamma", run.training.zero_gamma);
  visit("linear_init", run.training.linear_init);
  visit("norm_group", run.training.norm_group);
  visit("norm_statistics", run.training.norm_statistics);

  visit.section("optimizer");
  visit("kind", run.optimizer.kind);
  visit("lars_variant", run.optimizer.lars_variant);
  visit("momentum", run.optimizer.momentum);
  visit("momentum_correction", run.optimizer.momentum_correction);
  visit("weight_decay", run.optimizer.weight_decay);
  visit("trust", run.optimizer.trust);
  visit("epsilon", run.optimizer.epsilon);
  visit("skip_bias_and_norm", run.optimizer.skip_bias_and_norm);
  visit("norms", run.optimizer.norms);
  visit("update", run.optimizer.update);

  visit.section("schedule");
  visit("base_lr", run.schedule.base_lr);
  visit("linear_scaling_base", run.schedule.linear_scaling_base);
  visit("warmup", run.schedule.warmup);
  visit("warmup_epochs", run.schedule.warmup_epochs);
  visit("warmup_start_lr", run.schedule.warmup_start_lr);
  visit("decay", run.schedule.decay);
  visit("step_epochs", run.schedule.step_epochs);
  visit("step_factor", run.schedule.step_factor);
  visit("power", run.schedule.power);
  visit("end_lr", run.schedule.end_lr);
  visit("decay_epochs", run.schedule.decay_epochs);
  visit("first_step_is_one", run.schedule.first_step_is_one);
  visit("weight_decay", run.schedule.weight_decay);
  visit("batches", run.schedule.batches);

  visit.section("buckets");
  visit("policy", run.buckets.policy);
  visit("size", run.buckets.size);
  visit("first", run.buckets.first);
  visit("cycle", run.buckets.cycle);
  visit("tensors", run.buckets.tensors);
  visit("separate_fp32", run.buckets.separate_fp32);

  visit.section("allreduce");
  visit("algorithm", run.allreduce.algorithm);
  visit("across", run.allreduce.across);
  visit("library", run.allreduce.library);
  visit("protocol", run.allreduce.protocol);
  visit("among", run.allreduce.among);
  visit("torus_x", run.allreduce.torus_x);
  visit("channels", run.allreduce.channels);
  visit("chunk", run.allreduce.chunk);
  visit("in_flight", run.allreduce.in_flight);
  visit("overlap", run.allreduce.overlap);
  visit("gpudirect", run.allreduce.gpudirect);
  visit("wire", run.allreduce.wire);
  visit("reduction", run.allreduce.reduction);

  visit.section("cluster");
  visit("file", run.cluster.file);
  visit("gpus", run.cluster.gpus);
  visit("gpu", run.cluster.gpu);
  visit("framework", run.cluster.framework);
  visit("placement", run.cluster.placement);
  visit("same_software", run.cluster.same_software);
  visit.values("cluster_file", run.files.cluster);
  visit.values("gpu_file", run.files.gpu);
  visit.values("library_file", run.files.library);

  visit.section("simulation");
  visit("fold", run.simulation.fold);
  visit("sampled_steps", run.simulation.sampled_steps);
  visit("noise", run.simulation.noise);
  visit("step_jitter", run.simulation.step_jitter);
  visit("gpu_spread", run.simulation.gpu_spread);
  visit("slow_ranks", run.simulation.slow_ranks);
  visit("routing", run.simulation.routing);
  visit("slow_links", run.simulation.slow_links);
  visit("failed_links", run.simulation.failed_links);
  visit("background", run.simulation.background);

  visit.section("effects");
  visit("small_batch", run.effects.small_batch);
  visit("contention", run.effects.contention);
  visit("link_latency", run.effects.link_latency);
  visit("protocol", run.effects.protocol);
  visit("reduction", run.effects.reduction);
  visit("staging", run.effects.staging);
  visit("tcp", run.effects.tcp);
  visit("coordination", run.effects.coordination);
  visit("input", run.effects.input);

  visit.section("data");
  visit("kind", run.data.kind);
  visit("path", run.data.path);
  visit("training_images", run.data.training_images);
  visit("validation_images", run.data.validation_images);
  visit("decode_rate", run.data.decode_rate);
  visit("storage_rate", run.data.storage_rate);
  visit("image_bytes", run.data.image_bytes);
  visit("shrink", run.data.shrink);
  visit("augmentation", run.data.augmentation);
  visit("jitter", run.data.jitter);
  visit("lighting", run.data.lighting);
  visit("threads", run.data.threads);
  visit("broken", run.data.broken);

  visit.section("real");
  visit("threads", run.real.threads);
  visit("deterministic", run.real.deterministic);
  visit("loss_scale", run.real.loss_scale);
  visit("cuda_graph", run.real.cuda_graph);
  visit("jpeg", run.real.jpeg);
  visit("timeout", run.real.timeout);

  visit.section("setup");
  visit("startup", run.setup.startup);
  visit("first_epoch_extra", run.setup.first_epoch_extra);
  visit("evaluation", run.setup.evaluation);
  visit("source", run.setup.source);

  visit.section("output");
  visit("directory", run.output.directory);
  visit("trace_ranks", run.output.trace_ranks);
  visit("trace", run.output.trace);
  visit("curve", run.output.curve);
  visit("published", run.output.published);
}

}  // namespace lockstep
