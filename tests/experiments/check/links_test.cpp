#include "experiments/check/links.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "sim/network/fabric.hpp"
#include "sim/network/link_names.hpp"
#include "tests/experiments/check/subjects.hpp"

namespace lockstep::check {
namespace {

using testing::HasSubstr;

// 1,088 nodes; 128 leaves with 18 cables up each; 32 racks with 24 cables up to the directors.
TEST(Cables, OfAbci) {
  const auto cables = cables_of(read_cluster("abci", kData));
  std::size_t inside = 0;
  for (const Cables& c : cables) {
    if (!c.inside_node) continue;
    ++inside;
    EXPECT_EQ(c.count, 1088u);
    EXPECT_EQ(c.first.rfind("node0.", 0), 0u) << c.first;
    EXPECT_EQ(c.last, "node1087" + c.first.substr(5));
  }
  ASSERT_EQ(cables.size(), inside + 2);
  EXPECT_EQ(cables[inside].count, 128u * 18u);
  EXPECT_EQ(cables[inside + 1].count, 32u * 24u);
}

TEST(Cables, EveryNameOfEveryClusterFindsItsLinks) {
  for (const char* name : {"abci", "dgx1-v100", "dgx2"}) {
    const ClusterSpec cluster = read_cluster(name, kData);
    const int nodes = cluster.network.kind == NetworkKind::None ? 1 : cluster.nodes;
    const sim::Fabric fabric(cluster, nodes, Routing::Static, 0);
    std::size_t links = 0;
    for (const Cables& c : cables_of(cluster)) {
      EXPECT_EQ(sim::find_links(fabric.links(), c.first).size(), 2u) << c.first;
      EXPECT_EQ(sim::find_links(fabric.links(), c.last).size(), 2u) << c.last;
      links += 2 * c.count;
    }
    EXPECT_EQ(links, fabric.links().size()) << name;
  }
}

TEST(Cables, TextAndJson) {
  const ClusterSpec cluster = read_cluster("dgx1-v100", kData);
  const auto cables = cables_of(cluster);
  EXPECT_THAT(to_text(cluster, cables), HasSubstr("inside a node (node0 to node8 alike)\n"));
  EXPECT_THAT(to_text(cluster, cables), testing::Not(HasSubstr("between switches")));
  EXPECT_THAT(to_json(cables), HasSubstr("\"place\": \"node\",\n    \"cable\": \"" + cables[0].first + "\""));
}

}  // namespace
}  // namespace lockstep::check
