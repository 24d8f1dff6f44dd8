// What a machine's copies through host memory allow whole ranks, in events and in estimates.
#include <gtest/gtest.h>

#include "tests/experiments/compose/bare_job.hpp"

namespace lockstep {
namespace {

using A = AllreduceAlgorithm;
using Job = BareJob;

double payload_rate(const Job& job, Bytes size) {  // GB/s of one rank's messages, rings and torus alike
  const double n = job.in.run.cluster.gpus;
  return 2 * (n - 1) / n * double(size.count()) / job.time(size).time.seconds() / 1e9;
}

// Every GPU of a node without NVLink sends and receives a copy at once: 7.3 GB/s each way. 1 % for the latencies.
TEST(HostCopies, LimitRingsInANodeWithoutNvlink) {
  Job job("a100x4-pcie", "nccl-2.27", 4, A::Ring, "simple");
  const Bytes size(1 << 30);
  EXPECT_NEAR(payload_rate(job, size), 7.3, 0.073);
  EXPECT_NEAR(sim::estimate(job.plan(size), job.context(), job.number_of("simple")) / job.time(size).time, 1, 0.02);
  job.in.cluster.node.pcie.switches = {{0, 1, 2, 3}};  // below one switch nothing is copied: 10.3 of x16
  job.in.cluster.node.pcie.cpu_of_switch = {0};
  EXPECT_NEAR(payload_rate(job, size), 10.3, 0.2);
}

// ABCI without GPUDirect: six rings leave a node by four GPUs, so two of them share the 7.3 GB/s of one: 6 x 3.65 GB/s. With it the two NICs of 12 GB/s limit.
TEST(HostCopies, AreOfTheGpusByWhichRingsLeave) {
  Job job("abci", "nccl-2.4", 8, A::Ring, "simple");
  const Bytes size(1 << 30);
  EXPECT_NEAR(payload_rate(job, size), 6 * 3.65, 0.1);
  EXPECT_NEAR(sim::estimate(job.plan(size), job.context(), job.number_of("simple")) / job.time(size).time, 1, 0.05);
  job.in.run.allreduce.gpudirect = true;
  EXPECT_NEAR(payload_rate(job, size), 24, 0.1);
}

// A torus of nodes: the columns of a node's four GPUs go through its two NICs, 6 GB/s each, less than the copies reach.
TEST(HostCopies, AreNoMatterWhereTheNicIsSharedByMore) {
  Job job("abci", "nccl-2.4", 16, A::Hierarchical, "simple");
  const Bytes size(1 << 30);
  const Time staged = job.time(size).time;
  job.in.run.allreduce.gpudirect = true;
  EXPECT_NEAR(staged / job.time(size).time, 1, 0.01);
}

// Flat rings over nodes without NVLink copy inside every node, whatever the adapters do; the estimate knows it.
TEST(HostCopies, InsideNodesCountInRingsOverThem) {
  Job job("generic-ethernet-100", "nccl-2.8", 16, A::Ring, "simple");
  job.in.cluster.node.nic.transport = NicTransport::Rdma;
  job.in.run.allreduce.gpudirect = true;
  const Bytes size(1 << 28);
  EXPECT_NEAR(payload_rate(job, size), 7.3, 0.2);
  EXPECT_NEAR(sim::estimate(job.plan(size), job.context(), job.number_of("simple")) / job.time(size).time, 1, 0.1);
}

}  // namespace
}  // namespace lockstep
