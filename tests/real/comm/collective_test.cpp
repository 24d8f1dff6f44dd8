// The planner's schedules with real messages between threads: every algorithm, many sizes, every wire type.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <rapidcheck.h>
#include <map>

#include "real/comm/collective_run.hpp"
#include "tests/core/run/thread_collective.hpp"
#include "tests/real/comm/ranks.hpp"

namespace lockstep {
namespace {

using test::Buffers;

Buffers reduced(const CollectivePlan& plan, Buffers buffers, WireType wire) {
  test::on_ranks(static_cast<int>(buffers.size()), [&](Transport& t) {
    test::finish(*run_planned(plan, 3, buffers[static_cast<std::size_t>(t.rank())], wire, t));
  });
  return buffers;
}

/// By the reference interpreter of core's tests: whole steps, one after the other.
Buffers reference(const CollectivePlan& plan, Buffers buffers) {
  test::Post post;
  std::vector<std::thread> threads;
  for (std::size_t r = 0; r < buffers.size(); ++r)
    threads.emplace_back([&, r] { test::allreduce(plan, 0, Rank(static_cast<int>(r)), buffers[r], post); });
  for (auto& t : threads) t.join();
  return buffers;
}

void expect_sums(const Buffers& in, const Buffers& out, WireType wire, const std::string& what) {
  ASSERT_LE(test::error_of(out[0], in, wire), 1) << what;
  for (std::size_t r = 1; r < out.size(); ++r) ASSERT_EQ(out[r], out[0]) << what << " rank " << r;
}

class Algorithms : public testing::TestWithParam<AllreduceAlgorithm> {};
INSTANTIATE_TEST_SUITE_P(Planned, Algorithms, testing::ValuesIn(test::kAllAlgorithms));

// 5 elements are fewer than most of these numbers of ranks.
TEST_P(Algorithms, SumOnEveryRankOfEverySizeAndCount) {
  for (int ranks = 1; ranks <= 16; ++ranks) {
    for (const std::int64_t elements : {0, 1, 5, 1000, 4099}) {
      if (ranks > 8 && elements % 1000 != 0) continue;  // threads on few cores
      const Buffers in = test::random_buffers(ranks, elements);
      for (const int node : {1, 4}) {
        const auto plan = test::plan_of(GetParam(), ranks, node, elements);
        expect_sums(in, reduced(plan, in, WireType::Fp32), WireType::Fp32,
                    std::to_string(ranks) + " ranks, " + std::to_string(elements) + " elements");
      }
    }
  }
}

TEST_P(Algorithms, SixteenBitsOnTheWire) {
  for (const WireType wire : {WireType::Fp16, WireType::Bf16}) {
    for (const int ranks : {1, 2, 3, 4, 6}) {
      const Buffers in = test::random_buffers(ranks, 777);
      expect_sums(in, reduced(test::plan_of(GetParam(), ranks, 2, 777, wire), in, wire), wire, "16 bits");
    }
  }
}

// 700,000 elements over 3 ranks are 233,333 per segment: 3 pieces of 65,536 and a rest in flight at once, steps running ahead
// of each other. The bits are those of whole steps in order.
TEST_P(Algorithms, ManyPiecesGiveTheBitsOfWholeSteps) {
  for (const int ranks : {2, 3}) {
    const Buffers in = test::random_buffers(ranks, 700000);
    const auto plan = test::plan_of(GetParam(), ranks, 3, 700000, WireType::Fp32, 150000);
    const Buffers out = reduced(plan, in, WireType::Fp32);
    EXPECT_EQ(out, reference(plan, in));
    EXPECT_EQ(reduced(plan, in, WireType::Fp32), out) << "a second run";
  }
}

/// Messages leave, their memory is read, and arrivals are seen only after a random number of tests.
class LateTransport final : public Transport {
 public:
  LateTransport(Transport& inner, std::uint64_t seed)
      : inner_(inner), rng_(seed, "late", static_cast<std::uint64_t>(inner.rank())) {}
  int rank() const override { return inner_.rank(); }
  int size() const override { return inner_.size(); }
  const std::string& host(int rank) const override { return inner_.host(rank); }
  std::string description() const override { return "late " + inner_.description(); }
  Request send(int to, int tag, std::span<const std::byte> data) override {
    messages_[++last_] = {to, tag, data, -1};
    return last_;
  }
  Request receive(int from, int tag, std::span<std::byte> data) override {
    messages_[++last_] = {from, tag, {}, inner_.receive(from, tag, data)};
    return last_;
  }
  bool test(Request request) override {
    if (rng_.below(3) != 0) return false;
    const Message m = messages_.at(request);
    if (m.receive < 0) inner_.send(m.peer, m.tag, m.data);
    if (m.receive >= 0 && !inner_.test(m.receive)) return false;
    messages_.erase(request);
    return true;
  }
  bool cancel(Request request) override {
    const Message m = messages_.at(request);
    messages_.erase(request);
    return m.receive < 0 || inner_.cancel(m.receive);
  }
  Request begin_allreduce(std::span<float>) override { throw InternalError("not needed"); }
  std::vector<std::string> gather(const std::string& mine) override { return inner_.gather(mine); }
  void broadcast(std::span<std::byte> data, int root) override { inner_.broadcast(data, root); }
  void barrier() override { inner_.barrier(); }

 private:
  struct Message {
    int peer = 0, tag = 0;
    std::span<const std::byte> data;
    Request receive = -1;
  };
  Transport& inner_;
  Rng rng_;
  Request last_ = 0;
  std::map<Request, Message> messages_;
};

// No step may overwrite what has not left, nor send what has not been combined, whatever the network's timing.
TEST(CollectivesSlow, BitsDoNotDependOnTiming) {
  EXPECT_TRUE(rc::check([](std::uint64_t seed) {
    const auto algorithm = *rc::gen::elementOf(
        std::vector<AllreduceAlgorithm>(std::begin(test::kAllAlgorithms), std::end(test::kAllAlgorithms)));
    const int ranks = *rc::gen::inRange(2, 6);
    const std::int64_t elements = *rc::gen::elementOf(std::vector<std::int64_t>{3, 500, 70000, 250000});
    const std::int64_t chunk = std::max<std::int64_t>(1, elements / 5);
    const auto plan = test::plan_of(algorithm, ranks, 2, elements, WireType::Fp32, chunk);
    const Buffers in = test::random_buffers(ranks, elements);
    Buffers out = in;
    test::on_ranks(ranks, [&](Transport& t) {
      LateTransport late(t, seed);
      test::finish(*run_planned(plan, 0, out[static_cast<std::size_t>(t.rank())], WireType::Fp32, late));
    });
    RC_ASSERT(out == reference(plan, in));
  }));
}

// Three at once in one thread per rank, advanced in turn: messages keep to their collective.
TEST(Collectives, SeveralInFlightKeepApart) {
  const int ranks = 4;
  const Buffers in = test::random_buffers(ranks, 200000);
  const auto plan = test::plan_of(AllreduceAlgorithm::Ring, ranks, 4, 200000);
  const Buffers expected = reduced(plan, in, WireType::Fp32);
  std::vector<Buffers> out(3, in);
  test::on_ranks(ranks, [&](Transport& t) {
    std::vector<std::unique_ptr<CollectiveRun>> runs;
    for (std::uint32_t i = 0; i < 3; ++i)
      runs.push_back(run_planned(plan, 63 + i, out[i][static_cast<std::size_t>(t.rank())], WireType::Fp32, t));
    for (int open = 3; open > 0;) {
      open = 0;
      for (auto& run : runs) open += run->advance() != CollectiveRun::Progress::Done ? 1 : 0;
    }
  });
  for (const Buffers& one : out) EXPECT_EQ(one, expected);
}

TEST(Collectives, MemoryForMessagesIsAllocatedOnce) {
  const auto plan = test::plan_of(AllreduceAlgorithm::Ring, 2, 2, 500000, WireType::Fp16);
  Buffers buffers = test::random_buffers(2, 500000);
  test::on_ranks(2, [&](Transport& t) {
    std::size_t blocks = 0;
    for (std::uint32_t i = 0; i < 20; ++i) {
      test::finish(*run_planned(plan, i, buffers[static_cast<std::size_t>(t.rank())], WireType::Fp16, t));
      if (i == 9) blocks = t.scratch().blocks();
    }
    // Two steps, each with at most 4 messages under way in each direction, use at most 16 blocks.
    EXPECT_LE(t.scratch().blocks(), 16u);
    EXPECT_LE(blocks, 16u);
  });
}

// A collective that is given up leaves no memory behind that a message might still be written to.
TEST(Collectives, GivenUpHalfWay) {
  auto transports = thread_transports(2);
  const auto plan = test::plan_of(AllreduceAlgorithm::Ring, 2, 2, 300000);
  std::vector<float> mine(300000, 1.0f);
  {
    const auto run = run_planned(plan, 0, mine, WireType::Fp32, *transports[0]);
    while (run->advance() != CollectiveRun::Progress::None) {
    }
    EXPECT_FALSE(run->heard());
    EXPECT_THAT(run->waiting().ranks, testing::ElementsAre(1));
  }
  // Every block came back: as many can be taken as were ever allocated.
  Scratch& scratch = transports[0]->scratch();
  const std::size_t blocks = scratch.blocks();
  for (std::size_t i = 0; i < blocks; ++i) scratch.take();
  EXPECT_EQ(scratch.blocks(), blocks);
}

TEST(LibraryAllreduce, Sums) {
  const Buffers in = test::random_buffers(4, 50);
  Buffers out = in;
  test::on_ranks(4, [&](Transport& t) { test::finish(*run_library(out[static_cast<std::size_t>(t.rank())], t)); });
  expect_sums(in, out, WireType::Fp32, "library");
}

}  // namespace
}  // namespace lockstep
