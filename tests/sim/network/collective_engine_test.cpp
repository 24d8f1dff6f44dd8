// Collectives on links: closed forms where nothing contends, bounds and conservation everywhere.
#include "sim/network/collective_engine.hpp"

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <algorithm>

#include "core/base/error.hpp"
#include "core/plan/alpha_beta.hpp"
#include "core/plan/node_rings.hpp"

namespace lockstep::sim {
namespace {

LibrarySpec plain() {
  LibrarySpec l;
  l.name = "plain";
  ProtocolSpec p;
  p.name = "simple";
  l.protocols.push_back(p);
  return l;
}

/// The flat platform of the peer simulators' figures: one GPU per node, 12.5e9 B/s and 0.5 us per link, an ideal switch.
ClusterSpec flat(int nodes) {
  ClusterSpec c;
  c.name = "flat";
  c.nodes = nodes;
  c.node.gpus = 1;
  c.node.nic.count = 1;
  c.node.nic.rate = Sourced(Bandwidth::gigabytes_per_second(12.5));
  c.node.nic.latency = Sourced(Time::nanoseconds(500));
  c.node.nic.nic_of_gpu = {0};
  c.network.kind = NetworkKind::Star;
  TierSpec tier;
  tier.name = "switch";
  tier.rate = Sourced(Bandwidth::gigabytes_per_second(12.5));
  c.network.tiers.push_back(tier);
  return c;
}

Time run(const ClusterSpec& cluster, CollectiveRequest r, LibrarySpec library = plain(),
         std::uint64_t* digest = nullptr) {
  const int nodes = (r.world_size + cluster.node.gpus - 1) / cluster.node.gpus;
  Fabric fabric(cluster, nodes, Routing::Static, 1);
  EngineSettings settings;
  settings.library = std::move(library);
  for (int g = 0; g < r.world_size; ++g) settings.gpu_of_rank.push_back(g);
  settings.gpus_per_node = cluster.node.gpus;
  return bare_collective_time(fabric, settings, plan_collective(r), 0, {}, digest);
}

CollectiveRequest request(AllreduceAlgorithm a, int world, std::int64_t elements, int node = 1) {
  CollectiveRequest r;
  r.algorithm = a;
  r.across = AllreduceAlgorithm::HalvingDoubling;
  r.world_size = world;
  r.node_gpus = node;
  r.elements = elements;
  r.chunk = 65536;
  return r;
}

constexpr std::int64_t kResNet50 = 25557032;  // gradients
const AlphaBeta kFlatLink{Time::microseconds(1), Bandwidth::gigabytes_per_second(12.5), Bandwidth::bytes_per_second(0)};

TEST(CollectiveEngine, FlatRingEqualsTheClosedForm) {
  // 2 (N - 1)/N S/B + 2 (N - 1) x 1 us with S = 102,228,128 B: 14.326 ms at 8 ranks, 16.227 at 64 (peer simulators agree to 0.02 %).
  const std::vector<std::pair<int, double>> published = {{8, 14.326}, {64, 16.227}, {256, 16.803}};
  for (const auto& [n, ms] : published) {
    const Time t = run(flat(n), request(AllreduceAlgorithm::Ring, n, kResNet50));
    EXPECT_NEAR(t.milliseconds(), ms, 0.001 * ms) << n;
    // Segments differ by up to one element of 4 B: at most 0.32 ns more in each of 2 (n - 1) steps.
    const Time closed = ring_allreduce_time(Bytes(kResNet50 * 4), n, kFlatLink);
    EXPECT_GE(t, closed) << n;
    EXPECT_LE(t - closed, Time::picoseconds(321) * (2 * (n - 1))) << n;
  }
}

TEST(CollectiveEngineSlow, FlatRingOver512Ranks) {
  EXPECT_NEAR(run(flat(512), request(AllreduceAlgorithm::Ring, 512, kResNet50)).milliseconds(), 17.347, 0.017);
}

TEST(CollectiveEngine, EqualSegmentsMatchToAPicosecondPerStep) {
  // 8 ranks, 8,000,000 elements of 4 B: 14 steps of 4,000,000 B (320 us) + 1 us.
  const Time t = run(flat(8), request(AllreduceAlgorithm::Ring, 8, 8000000));
  EXPECT_LE(std::abs((t - Time::microseconds(14 * 321)).picoseconds()), 14);
}

TEST(CollectiveEngine, HalvingDoublingEqualsTheClosedForm) {
  // 16 ranks, 1,600,000 elements: 8 messages; 2 x 15/16 of 6.4 MB at 12.5 GB/s = 960 us, + 8 us.
  const Time t = run(flat(16), request(AllreduceAlgorithm::HalvingDoubling, 16, 1600000));
  EXPECT_LE(std::abs((t - Time::microseconds(968)).picoseconds()), 8);
}

TEST(CollectiveEngine, TreePipelines) {
  // 64 ranks, 102 MB in 256 KiB chunks: near 2 S / B = 16.36 ms plus the fill of a tree of height 6; unpipelined it would be 12 S / B = 98 ms.
  const Time t = run(flat(64), request(AllreduceAlgorithm::Tree, 64, kResNet50));
  const Time moved = Bytes(kResNet50 * 4) / Bandwidth::gigabytes_per_second(12.5);
  EXPECT_GT(t, moved);
  EXPECT_LT(t, moved * 2.6);
}

TEST(CollectiveEngine, TreePipelinesByDefault) {
  // As above, with the chunk that nobody asked for. A peer's tree in one chunk took 98 to 237 ms.
  CollectiveRequest r;
  r.algorithm = AllreduceAlgorithm::Tree;
  r.world_size = 64;
  r.elements = kResNet50;
  const Time moved = Bytes(kResNet50 * 4) / Bandwidth::gigabytes_per_second(12.5);
  EXPECT_LT(run(flat(64), r), moved * 2.6);
}

TEST(CollectiveEngine, ResultDoesNotDependOnHopsAtLargeSize) {
  // Cut-through: more latency per hop, same bandwidth.
  ClusterSpec far = flat(8);
  far.network.tiers[0].hop = Sourced(Time::nanoseconds(90));
  const Time near = run(flat(8), request(AllreduceAlgorithm::Ring, 8, 8000000));
  EXPECT_EQ(run(far, request(AllreduceAlgorithm::Ring, 8, 8000000)) - near, Time::nanoseconds(90 * 14));
}

TEST(CollectiveEngine, TcpCostsPerMessageAndLimitsAConnection) {
  ClusterSpec cluster = flat(4);
  cluster.node.nic.connection = Sourced(Bandwidth::gigabytes_per_second(1));
  cluster.node.nic.connections = 8;
  LibrarySpec library = plain();
  library.tcp_latency = Sourced(Time::microseconds(20));
  CollectiveRequest ring = request(AllreduceAlgorithm::Ring, 4, 4000000);
  const auto expect = [&](double microseconds_per_step) {
    EXPECT_NEAR(run(cluster, ring, library).microseconds(), 6 * microseconds_per_step, 1e-5);
  };
  expect(320 + 1);  // verbs: 6 steps of 4 MB at 12.5 GB/s
  cluster.node.nic.transport = NicTransport::Tcp;
  expect(4000 + 21);  // one connection of 1 GB/s
  library.tuning.copies = 2;
  expect(4000 + 21);  // not the library's own plan
  ring.copies = 2;
  expect(2000 + 21);  // two channels on the ring
  library.many_connections = true;
  expect(320 + 21);  // 16 connections: the NIC limits
  cluster.node.nic.connections = 2;
  expect(1000 + 21);
  cluster.node.nic.connection = {};
  library.many_connections = false;
  expect(320 + 21);  // no limit stated
}

TEST(CollectiveEngine, ProtocolCostsPerMessageAndByte) {
  LibrarySpec library = plain();
  library.protocols[0].efficiency = 0.5;
  library.protocols[0].ring.network = Time::microseconds(3);
  library.protocols[0].ring.base = Time::microseconds(10);
  library.reduce = Sourced(Bandwidth::gigabytes_per_second(40));
  // 4 ranks, 4,000,000 elements: 6 steps of 4 MB; LL doubles the bytes: 640 us + 1 + 3 us each; 3 additions of 100 us; 10 us base.
  const Time t = run(flat(4), request(AllreduceAlgorithm::Ring, 4, 4000000), library);
  EXPECT_LE(std::abs((t - Time::microseconds(6 * 644 + 3 * 100 + 10)).picoseconds()), 12);
}

TEST(CollectiveEngine, OneRankAndNoElements) {
  EXPECT_EQ(run(flat(1), request(AllreduceAlgorithm::Ring, 1, 1000)), Time::zero());
  // Nothing to move still synchronises: 2 (n - 1) latencies.
  EXPECT_EQ(run(flat(4), request(AllreduceAlgorithm::Ring, 4, 0)), Time::microseconds(6));
}

TEST(CollectiveEngine, RingsFillTheNvlinkMesh) {
  // ABCI's node: 6 rings of one 24 GB/s link each. Allreduce of S: 2 x 3/4 S / (6 x 24 GB/s).
  ClusterSpec c;
  c.nodes = 1;
  c.node.gpus = 4;
  c.node.nvlink.present = true;
  c.node.nvlink.pairs = {{0, 1, 2}, {0, 2, 2}, {0, 3, 2}, {1, 2, 2}, {1, 3, 2}, {2, 3, 2}};
  c.node.nvlink.per_link = Sourced(Bandwidth::gigabytes_per_second(24));
  CollectiveRequest r = request(AllreduceAlgorithm::Ring, 4, 24000000, 4);
  r.ring_orders = node_rings(c.node, 4);
  const Time expected = Time::seconds(1.5 * 96e6 / 144e9);
  EXPECT_NEAR(run(c, r).microseconds(), expected.microseconds(), 0.01);
}

ClusterSpec pair_of_gpus(double gigabytes) {
  ClusterSpec c;
  c.nodes = 1;
  c.node.gpus = 2;
  c.node.nvlink.present = true;
  c.node.nvlink.pairs = {{0, 1, 1}};
  c.node.nvlink.per_link = Sourced(Bandwidth::gigabytes_per_second(gigabytes));
  return c;
}

// Two GPUs, 40 MB, one link of 18 GB/s of which kernels reach 8/9: each sends 2 x 20 MB at 16 GB/s: 2.5 ms.
TEST(CollectiveEngine, KernelsReachAShareOfNvlink) {
  LibrarySpec library = plain();
  library.nvlink_share = Sourced(8.0 / 9);
  const Time t = run(pair_of_gpus(18), request(AllreduceAlgorithm::Ring, 2, 10000000, 2), library);
  EXPECT_NEAR(t.microseconds(), 2500, 0.001);
}

// A rank's limit of 6 GB/s on the wire over three channels: 2 x 20 MB of payload at half efficiency take 40 MB x 2 / 6 GB/s = 13.3 ms, also if
// kernels reach only 8/9 of the link, which is not what limits.
TEST(CollectiveEngine, ALimitOverAllChannelsIsDealtAmongThem) {
  LibrarySpec library = plain();
  library.protocols[0].efficiency = 0.5;
  library.protocols[0].total_cap = Bandwidth::gigabytes_per_second(6);
  library.nvlink_share = Sourced(8.0 / 9);
  CollectiveRequest r = request(AllreduceAlgorithm::Ring, 2, 10000000, 2);
  r.ring_orders = {{0, 1}, {0, 1}, {0, 1}};
  EXPECT_NEAR(run(pair_of_gpus(90), r, library).microseconds(), 80e6 / 6e3, 0.01);
}

// A chain of 4 GPUs in one node, 2 equal trees of 1 MB each in chunks of 0.25 MB, full-duplex links of 10 GB/s that both trees share, 1 us per
// message. Up: each hop passes 2 MB, so the first chunk needs 3 hops and the rest follows; the root sends down what is complete. The last chunk pair of
// both trees leaves the end of the chain after 8 x 25 us, and has 5 more hops of 25 us x 2 (two trees share) and 6 latencies.
TEST(CollectiveEngine, ChunksFlowThroughAChain) {
  ClusterSpec c;
  c.nodes = 1;
  c.node.gpus = 4;
  c.node.nvlink.present = true;
  c.node.nvlink.pairs = {{0, 1, 1}, {1, 2, 1}, {2, 3, 1}};
  c.node.nvlink.per_link = Sourced(Bandwidth::gigabytes_per_second(10));
  c.node.pcie.switches = {{0, 1, 2, 3}};
  c.node.pcie.x16 = Sourced(Bandwidth::gigabytes_per_second(10));
  LibrarySpec library = plain();
  library.protocols[0].tree.nvlink = Time::microseconds(1);
  CollectiveRequest r = request(AllreduceAlgorithm::NodeTree, 4, 500000, 4);
  r.chunk = 62500;
  r.ring_orders = {{0, 1, 2, 3}};
  EXPECT_NEAR(run(c, r, library).microseconds(), 8 * 25 + 5 * 50 + 6, 1e-3);
}

ClusterSpec switched_node(int gpus, double gigabytes, int nodes = 1) {
  ClusterSpec c;
  c.nodes = nodes;
  c.node.gpus = gpus;
  c.node.nvlink.present = c.node.nvlink.through_switch = c.node.nvlink.switch_adds = true;
  c.node.nvlink.links_per_gpu = 1;
  c.node.nvlink.per_link = Sourced(Bandwidth::gigabytes_per_second(gigabytes));
  if (nodes == 1) return c;
  c.node.nic.count = gpus;
  c.node.nic.rate = Sourced(Bandwidth::gigabytes_per_second(gigabytes));
  for (int g = 0; g < gpus; ++g) c.node.nic.nic_of_gpu.push_back(g);
  c.network.kind = NetworkKind::Star;
  TierSpec tier;
  tier.name = "switch";
  tier.rate = Sourced(Bandwidth::gigabytes_per_second(gigabytes));
  c.network.tiers.push_back(tier);
  return c;
}

LibrarySpec adding(double share, Time inside) {
  LibrarySpec library = plain();
  library.nvls.present = true;
  library.nvls.protocol = "simple";
  library.nvls.share = Sourced(share);
  library.nvls.inside = inside;
  return library;
}

// Four GPUs, 16 MB, links of 10 GB/s of which additions reach 0.8; one chunk per share, 4 MB. Every link carries 3 shares up to be added, the head's own
// and its copies on top: the gives of a GPU take 3 x 4 MB / 8 GB/s = 1.5 ms (the head's downlink, loaded twice by one of them, 2 x 4 MB / 8 GB/s, keeps up). The copies: up
// twice, down 3: as long again. Copy out: a chunk at a fifth of 8 GB/s, 2.5 ms. And 10 us in two halves.
TEST(CollectiveEngine, ASwitchAddsAndCopies) {
  CollectiveRequest r = request(AllreduceAlgorithm::Nvls, 4, 4'000'000, 4);
  r.nvls_chunk = 1'000'000;
  EXPECT_NEAR(run(switched_node(4, 10), r, adding(0.8, Time::microseconds(10))).microseconds(), 1500 + 1500 + 2500 + 10,
              0.01);
}

// Many chunks: the links never rest, each carries (n + 1) / n of the buffer: 8 GPUs, 64 MB: 72 MB / 8 GB/s = 9 ms, and one part in 250 each to fill the pipeline with
// a chunk and to copy the last one out.
TEST(CollectiveEngine, ASwitchIsBusyWithTheBufferAndAShare) {
  CollectiveRequest r = request(AllreduceAlgorithm::Nvls, 8, 16'000'000, 8);
  r.nvls_chunk = 8000;
  const double least = 9000, took = run(switched_node(8, 10), r, adding(0.8, Time::zero())).microseconds();
  EXPECT_GT(took, least);
  EXPECT_LT(took, least * (1 + 2.2 / 250));
}

// The switch has added: a library that adds slowly takes no longer. Between nodes a head adds what comes from another one.
TEST(CollectiveEngine, WhatASwitchAddsCostsNoReduction) {
  LibrarySpec slow = adding(0.8, Time::zero());
  slow.reduce = Sourced(Bandwidth::gigabytes_per_second(1));
  CollectiveRequest one = request(AllreduceAlgorithm::Nvls, 4, 4'000'000, 4), two = one;
  one.nvls_chunk = two.nvls_chunk = 1'000'000;
  EXPECT_EQ(run(switched_node(4, 10), one, slow), run(switched_node(4, 10), one, adding(0.8, Time::zero())));
  two.node_gpus = 2;
  EXPECT_GT(run(switched_node(2, 10, 2), two, slow), run(switched_node(2, 10, 2), two, adding(0.8, Time::zero())));
}

// The limit of trees, 3.2 GB/s of bus bandwidth per head: 2 heads x 3.2 x 4 / 6 = 4.27 GB/s of 64 MB: 15 ms; without it the links' 64 MB x 3 / 2 over 10 GB/s, 9.6.
TEST(CollectiveEngine, TreesOfNvlsHaveALimit) {
  LibrarySpec limited = adding(1, Time::zero());
  limited.nvls.tree.two = Bandwidth::gigabytes_per_second(3.2);
  CollectiveRequest r = request(AllreduceAlgorithm::Nvls, 4, 16'000'000, 2);
  r.nvls_chunk = 10'000;
  EXPECT_NEAR(run(switched_node(2, 10, 2), r, limited).milliseconds(), 15, 0.3);
  EXPECT_NEAR(run(switched_node(2, 10, 2), r, adding(1, Time::zero())).milliseconds(), 9.6, 0.3);
}

// Two nodes of two GPUs, 8 MB, all rates 10 GB/s: two shares of 4 MB, two trees each, one chunk of 2 MB per part. Give: 4 MB on a GPU's uplink, 8 MB on the
// head's downlink, which carries each sum and the head's own data: 0.8 ms. Then tree 0 goes up from one node while tree 1 goes up from the other: 2 MB per
// NIC and direction, 0.2 ms. The root of a tree copies at once, while the other total comes down in 0.2 ms: 8 MB leave the head, without a
// pause, in 0.8 ms. Copy out: 2 MB at half of a third of 10 GB/s, 1.2 ms.
TEST(CollectiveEngine, HeadsOfNodesJoinInTrees) {
  CollectiveRequest r = request(AllreduceAlgorithm::Nvls, 4, 2'000'000, 2);
  r.nvls_chunk = 1'000'000;
  const Time t = run(switched_node(2, 10, 2), r, adding(1, Time::zero()));
  EXPECT_NEAR(t.microseconds(), 800 + 200 + 800 + 1200, 0.01);
}

// Big rings keep to the closed form with a library's costs: 2 (n - 1) (3 us + wire) + 2 (n - 1) / n S / bandwidth.
TEST(CollectiveEngine, BigRingsWithALibrarysCostsMeetTheClosedForm) {
  LibrarySpec library = plain();
  library.protocols[0].ring.network = Time::microseconds(3);
  for (const int n : {64, 256}) {
    const AlphaBeta link{Time::microseconds(4), Bandwidth::gigabytes_per_second(12.5), Bandwidth::bytes_per_second(0)};
    const Time expected = ring_allreduce_time(Bytes(std::int64_t{n} * 4000), n, link);
    const Time t = run(flat(n), request(AllreduceAlgorithm::Ring, n, std::int64_t{n} * 1000), library);
    EXPECT_NEAR(t / expected, 1, 1e-9) << n;
  }
}

// The same ring with pieces of a quarter: as many bytes, four times the latencies. Pieces of 1,000 elements, chunk 250.
TEST(CollectiveEngine, EveryLoopPaysItsLatencies) {
  LibrarySpec library = plain();
  library.protocols[0].ring.network = Time::microseconds(3);
  const int n = 8;
  CollectiveRequest r = request(AllreduceAlgorithm::Ring, n, n * 1000);
  const Time one = run(flat(n), r, library);
  r.ring_chunk = 250;
  EXPECT_EQ(run(flat(n), r, library) - one, Time::microseconds(3 * 14 * 4));
}

ClusterSpec random_cluster() {
  ClusterSpec c = flat(*rc::gen::inRange(2, 13));
  c.node.gpus = *rc::gen::element(1, 2, 4);
  c.node.nic.count = *rc::gen::inRange(1, 3);
  c.node.nic.rate = Sourced(Bandwidth::gigabytes_per_second(*rc::gen::inRange(1, 20)));
  c.node.nic.nic_of_gpu.clear();
  std::vector<int> gpus;
  for (int g = 0; g < c.node.gpus; ++g) {
    c.node.nic.nic_of_gpu.push_back(g % c.node.nic.count);
    gpus.push_back(g);
  }
  c.node.pcie.switches = {gpus};
  c.node.pcie.cpu_of_switch = {0};
  c.node.pcie.x16 = Sourced(Bandwidth::gigabytes_per_second(*rc::gen::inRange(4, 30)));
  c.node.nic.cpu.assign(static_cast<std::size_t>(c.node.nic.count), 0);
  return c;
}

TEST(CollectiveEngine, NothingBeatsItsBusiestLink) {
  EXPECT_TRUE(rc::check([] {
    const ClusterSpec cluster = random_cluster();
    const int world = *rc::gen::inRange(2, cluster.total_gpus() + 1);
    CollectiveRequest r = request(
        *rc::gen::element(AllreduceAlgorithm::Ring, AllreduceAlgorithm::HalvingDoubling, AllreduceAlgorithm::Tree,
                          AllreduceAlgorithm::Hierarchical, AllreduceAlgorithm::ThreePhase),
        world, *rc::gen::inRange<std::int64_t>(0, 300000), cluster.node.gpus);
    r.chunk = *rc::gen::inRange(1000, 100000);
    const CollectivePlan plan = plan_collective(r);
    const int nodes = (world + cluster.node.gpus - 1) / cluster.node.gpus;
    Fabric fabric(cluster, nodes, Routing::Static, 1);
    EngineSettings settings;
    settings.library = plain();
    for (int g = 0; g < world; ++g) settings.gpu_of_rank.push_back(g);

    EventQueue queue;
    Network network(queue, fabric.links(), 0);
    CollectiveEngine engine(queue, network, fabric, settings, 1);
    const int id = engine.open(std::make_shared<const CollectivePlan>(plan), 0);
    for (int g = 0; g < world; ++g) engine.enter(id, Rank(g));
    Time end;
    while (!queue.empty()) {
      const Event e = queue.pop();
      std::uint64_t token = 0;
      if (e.kind == 0) {
        if (network.finish(e, token)) engine.flow_ended(token);
      } else {
        engine.handle(e);
      }
      if (!engine.finished().empty()) end = e.time;
      engine.finished().clear();
    }
    engine.close_all();                                    // throws if a message was not received
    RC_ASSERT(engine.messages() == count(plan).messages);  // and none was never sent
    RC_ASSERT(network.active() == 0U);

    // Conservation: what the plan sends is what the first links of the routes carried; and no link was faster than it is.
    double busiest = 0, injected = 0;
    for (std::size_t l = 0; l < network.links().size(); ++l) {
      busiest = std::max(busiest, network.use(l).bytes / network.links()[l].capacity.bytes_per_second());
    }
    std::vector<char> first(network.links().size(), 0);
    for (int a = 0; a < world; ++a) {
      for (int b = 0; b < world; ++b) {
        if (a != b && !fabric.route(a, b).links.empty())
          first[static_cast<std::size_t>(fabric.route(a, b).links.front())] = 1;
      }
    }
    for (std::size_t l = 0; l < first.size(); ++l) injected += first[l] ? network.use(l).bytes : 0;
    RC_ASSERT(std::abs(injected - static_cast<double>(count(plan).elements_sent * 4)) < 1);
    // Each message may end half a picosecond early by rounding.
    RC_ASSERT(end.seconds() >= busiest - 0.5e-12 * static_cast<double>(count(plan).messages));
  }));
}

// A peer ends with exit 0 where receives were never matched, another where only the first of several chained flows ran.
TEST(CollectiveEngine, WhatIsNotFinishedIsAnError) {
  for (const AllreduceAlgorithm a :
       {AllreduceAlgorithm::Ring, AllreduceAlgorithm::HalvingDoubling, AllreduceAlgorithm::Tree}) {
    const ClusterSpec cluster = flat(8);
    Fabric fabric(cluster, 8, Routing::Static, 1);
    EngineSettings settings;
    settings.library = plain();
    for (int g = 0; g < 8; ++g) settings.gpu_of_rank.push_back(g);
    EventQueue queue;
    Network network(queue, fabric.links(), 0);
    CollectiveEngine engine(queue, network, fabric, settings, 1);
    const int id = engine.open(std::make_shared<const CollectivePlan>(plan_collective(request(a, 8, 100000))), 0);
    for (int g = 0; g < 7; ++g) engine.enter(id, Rank(g));  // the last one never comes
    while (!queue.empty()) {
      const Event e = queue.pop();
      std::uint64_t token = 0;
      if (e.kind != 0)
        engine.handle(e);
      else if (network.finish(e, token))
        engine.flow_ended(token);
      engine.finished().clear();
    }
    EXPECT_THROW(engine.close_all(), InternalError);
  }
}

TEST(CollectiveEngine, SameRunSameDigest) {
  std::uint64_t a = 0, b = 0, c = 0;
  run(flat(16), request(AllreduceAlgorithm::Tree, 16, 100000), plain(), &a);
  run(flat(16), request(AllreduceAlgorithm::Tree, 16, 100000), plain(), &b);
  run(flat(16), request(AllreduceAlgorithm::Tree, 16, 100001), plain(), &c);
  EXPECT_EQ(a, b);
  EXPECT_NE(a, c);
}

}  // namespace
}  // namespace lockstep::sim
