// The work that tests/bench/engine_bench and tests/bench/simgrid_bench both do: same sizes, same links, same buckets.
#pragma once

#include <cstdint>
#include <vector>

#include "core/base/units.hpp"
#include "core/model/graph.hpp"
#include "core/model/layer_cost.hpp"
#include "core/model/zoo.hpp"
#include "core/plan/buckets.hpp"
#include "core/spec/cluster_spec.hpp"

namespace lockstep::bench {

constexpr int kRanks = 2048;
constexpr std::int64_t kElements = 25'557'032;  ///< gradients of ResNet-50, fp32: 102,228,128 B

// Two platforms on which peer simulators were measured; their sources are data/clusters/flat.toml and, for the tree, the text below.
constexpr double kFlatRate = 12.5e9;
constexpr double kFlatLinkLatency = 0.5e-6;
// Two-level fat tree: 4 GPUs per node, one link per pair; a port per node; leaves of 18 nodes below 18 cores, destination-mod-k.
constexpr int kTreeGpus = 4, kTreeLeaf = 18, kTreeCores = 18;
constexpr double kTreeGpuRate = 150e9, kTreeGpuLatency = 0.7e-6;
constexpr double kTreePortRate = 25e9, kTreePortLatency = 0.3e-6;
constexpr double kTreeCableRate = 25e9, kTreeCableLatency = 0.2e-6;

inline ClusterSpec flat_cluster(int nodes) {
  ClusterSpec c;
  c.name = "flat";
  c.nodes = nodes;
  c.node.nic.count = 1;
  c.node.nic.nic_of_gpu = {0};
  c.node.nic.rate = Sourced(Bandwidth::bytes_per_second(kFlatRate));
  c.node.nic.latency = Sourced(Time::seconds(kFlatLinkLatency));
  c.network.kind = NetworkKind::Star;
  TierSpec tier;
  tier.name = "switch";
  tier.rate = c.node.nic.rate;
  c.network.tiers.push_back(tier);
  return c;
}

inline ClusterSpec tree_cluster(int nodes) {
  ClusterSpec c = flat_cluster(nodes);
  c.name = "tree";
  c.node.gpus = kTreeGpus;
  c.node.nvlink.present = true;
  for (int a = 0; a < kTreeGpus; ++a) {
    for (int b = a + 1; b < kTreeGpus; ++b) c.node.nvlink.pairs.push_back({a, b, 1});
  }
  c.node.nvlink.per_link = Sourced(Bandwidth::bytes_per_second(kTreeGpuRate));
  c.node.nvlink.latency = Sourced(Time::seconds(kTreeGpuLatency));
  c.node.nic.nic_of_gpu.assign(kTreeGpus, 0);
  c.node.nic.rate = Sourced(Bandwidth::bytes_per_second(kTreePortRate));
  c.node.nic.latency = Sourced(Time::seconds(kTreePortLatency));
  c.network.kind = NetworkKind::FatTree;
  c.network.tiers.clear();
  TierSpec leaf, core;
  leaf.name = "leaf";
  leaf.group = kTreeLeaf;
  leaf.rate = c.node.nic.rate;
  core.name = "core";
  core.group = 0;
  core.switches = kTreeCores;
  core.rate = Sourced(Bandwidth::bytes_per_second(kTreeCableRate));
  core.hop = Sourced(Time::seconds(2 * kTreeCableLatency));  // up and down: a hop lies on the way up
  c.network.tiers = {leaf, core};
  return c;
}

/// A ResNet-50 step: forward 58 ms, backward 116 ms spread over layers by their multiply-adds, buckets of at least 1 and then 25 MiB.
struct Iteration {
  static constexpr double kForward = 58e-3, kBackward = 116e-3;
  ModelGraph graph = build_model("resnet50");
  BucketPlan buckets;
  std::vector<Time> backward_of_layer;  ///< by LayerId
  std::vector<Time> full;               ///< by bucket: since the start of the step
};

inline Iteration resnet50_iteration() {
  Iteration it;
  BucketsSpec spec;
  spec.policy = BucketPolicy::Ddp;
  spec.first = Bytes::mib(1);
  spec.size = Bytes::mib(25);
  it.buckets = plan_buckets(it.graph, spec, Precision::Fp32);
  double total = 0;
  std::vector<double> work;
  for (const Layer& layer : it.graph.layers) {
    const bool multiplies = layer.kind == LayerKind::Conv || layer.kind == LayerKind::Linear;
    work.push_back(multiplies ? layer_cost(it.graph, layer, 1, 4).forward.flops.count() : 0);
    total += work.back();
  }
  for (double w : work) it.backward_of_layer.push_back(Time::seconds(Iteration::kBackward * w / total));
  for (const Bucket& bucket : it.buckets.buckets) {
    Time t = Time::seconds(Iteration::kForward);
    for (std::size_t l = bucket.last_layer.index(); l < work.size(); ++l) t += it.backward_of_layer[l];
    it.full.push_back(t);
  }
  return it;
}

}  // namespace lockstep::bench
