// Transports: the collectives that wait, places in nodes, launchers.
#include <cstring>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/real/comm/ranks.hpp"

namespace lockstep {
namespace {

TEST(Transports, SumsAndMaximaAreEqualEverywhere) {
  test::on_ranks(3, [](Transport& t) {
    const std::vector<double> mine{t.rank() + 0.1, -1.0 * t.rank()};
    EXPECT_THAT(sum_over_ranks(t, mine), testing::ElementsAre(0.1 + 1.1 + 2.1, -3));
    EXPECT_THAT(max_over_ranks(t, mine), testing::ElementsAre(2.1, 0));
    std::vector<std::byte> data(3, std::byte(t.rank()));
    t.broadcast(data, 2);
    EXPECT_EQ(data, std::vector<std::byte>(3, std::byte(2)));
    EXPECT_THAT(t.gather(std::string(static_cast<std::size_t>(t.rank()), 'x')), testing::ElementsAre("", "x", "xx"));
  });
}

TEST(Transports, EqualTagsKeepTheirOrderAndOthersDoNotWait) {
  auto t = thread_transports(2);
  const auto send = [&](int tag, char c) { t[0]->send(1, tag, std::as_bytes(std::span(&c, 1))); };
  send(7, 'a');
  send(7, 'b');
  send(8, 'c');
  char got[3] = {};
  const auto receive = [&](int tag, char& to) {
    return t[1]->receive(0, tag, std::as_writable_bytes(std::span(&to, 1)));
  };
  const auto first = receive(7, got[0]), second = receive(7, got[1]), other = receive(8, got[2]);
  EXPECT_TRUE(t[1]->test(other));
  EXPECT_FALSE(t[1]->test(second)) << "the first message belongs to the receive posted first";
  EXPECT_TRUE(t[1]->test(first));
  EXPECT_TRUE(t[1]->test(second));
  EXPECT_EQ(std::string(got, 3), "abc");
}

TEST(Transports, ACancelledReceiveLeavesTheMessageToTheNext) {
  auto t = thread_transports(2);
  char lost = '-', got = '-', sent = 'a';
  const auto given_up = t[1]->receive(0, 7, std::as_writable_bytes(std::span(&lost, 1)));
  EXPECT_TRUE(t[1]->cancel(given_up));
  const auto kept = t[1]->receive(0, 7, std::as_writable_bytes(std::span(&got, 1)));
  t[0]->send(1, 7, std::as_bytes(std::span(&sent, 1)));
  EXPECT_TRUE(t[1]->test(kept));
  EXPECT_EQ(lost, '-');
  EXPECT_EQ(got, 'a');
}

TEST(Transports, AJobOfOne) {
  const auto solo = solo_transport();
  EXPECT_EQ(solo->size(), 1);
  EXPECT_FALSE(solo->host(0).empty());
  EXPECT_THAT(sum_over_ranks(*solo, std::vector{1.5}), testing::ElementsAre(1.5));
  const NodePlace place = node_place(*solo, 0);
  EXPECT_EQ(place.nodes, 1);
  EXPECT_EQ(place.local_size, 1);
}

/// Only knows where its ranks are.
class Hosts final : public Transport {
 public:
  explicit Hosts(std::vector<std::string> hosts) : hosts_(std::move(hosts)) {}
  int rank() const override { return 0; }
  int size() const override { return static_cast<int>(hosts_.size()); }
  const std::string& host(int rank) const override { return hosts_[static_cast<std::size_t>(rank)]; }
  std::string description() const override { return "hosts"; }
  Request send(int, int, std::span<const std::byte>) override { return 0; }
  Request receive(int, int, std::span<std::byte>) override { return 0; }
  bool test(Request) override { return true; }
  bool cancel(Request) override { return true; }
  Request begin_allreduce(std::span<float>) override { return 0; }
  std::vector<std::string> gather(const std::string&) override { return {}; }
  void broadcast(std::span<std::byte>, int) override {}
  void barrier() override {}

 private:
  std::vector<std::string> hosts_;
};

TEST(NodePlace, FollowsTheHosts) {
  const Hosts uneven({"a", "b", "a", "b", "a"});
  const NodePlace last = node_place(uneven, 4);
  EXPECT_EQ(last.node, 0);
  EXPECT_EQ(last.local_rank, 2);
  EXPECT_EQ(last.local_size, 3);
  EXPECT_EQ(last.nodes, 2);
  EXPECT_FALSE(last.equal);
  const NodePlace other = node_place(uneven, 3);
  EXPECT_EQ(other.node, 1);
  EXPECT_EQ(other.local_rank, 1);
  EXPECT_EQ(other.local_size, 2);
  EXPECT_TRUE(node_place(Hosts({"a", "a", "b", "b"}), 0).equal);
}

TEST(Launcher, IsKnownByTheEnvironment) {
  const auto with = [](const char* set) {
    return launched_as_job([set](const char* name) { return std::strcmp(name, set) == 0 ? "1" : nullptr; });
  };
  EXPECT_TRUE(with("OMPI_COMM_WORLD_SIZE"));
  EXPECT_TRUE(with("PMIX_RANK"));
  EXPECT_FALSE(with("SLURM_JOB_ID")) << "a plain command inside an allocation is a job of one";
}

}  // namespace
}  // namespace lockstep
