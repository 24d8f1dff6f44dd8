// The planner's schedules with real messages between threads: every algorithm, many sizes, every wire type.
#include <cmath>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/base/error.hpp"
#include "core/base/rng.hpp"
#include "core/plan/collective.hpp"
#include "real/comm/communication_lane.hpp"
#include "real/comm/thread_transport.hpp"

namespace lockstep {
namespace {

using Buffers = std::vector<std::vector<float>>;

Buffers random_buffers(int ranks, std::int64_t elements) {
  Buffers out;
  for (int r = 0; r < ranks; ++r) {
    Rng rng(7, "buffer", static_cast<std::uint64_t>(r));
    auto& b = out.emplace_back();
    for (std::int64_t i = 0; i < elements; ++i) b.push_back(static_cast<float>(rng.normal()));
  }
  return out;
}

/// Calls `body(transport)` on a thread per rank.
template <class Body>
void on_ranks(int ranks, Body body) {
  auto transports = thread_transports(ranks);
  std::vector<std::thread> threads;
  for (auto& t : transports) threads.emplace_back([&body, &t] { body(*t); });
  for (auto& t : threads) t.join();
}

void finish(CollectiveRun& run) {
  while (run.advance() != CollectiveRun::Progress::Done) std::this_thread::yield();
}

CollectivePlan plan_of(AllreduceAlgorithm algorithm, int ranks, int node, std::int64_t elements, WireType wire) {
  CollectiveRequest request;
  request.algorithm = algorithm;
  request.across = AllreduceAlgorithm::Tree;
  request.world_size = ranks;
  request.node_gpus = std::min(node, ranks);
  request.elements = elements;
  request.element_bytes = static_cast<int>(wire_bytes(wire));
  request.chunk = 1000;
  return plan_collective(request);
}

Buffers reduced(const CollectivePlan& plan, Buffers buffers, WireType wire) {
  on_ranks(static_cast<int>(buffers.size()), [&](Transport& t) {
    const auto run = run_planned(plan, 3, buffers[static_cast<std::size_t>(t.rank())], wire, t);
    finish(*run);
  });
  return buffers;
}

constexpr AllreduceAlgorithm kAll[] = {AllreduceAlgorithm::Ring,         AllreduceAlgorithm::HalvingDoubling,
                                       AllreduceAlgorithm::Tree,         AllreduceAlgorithm::Torus,
                                       AllreduceAlgorithm::Hierarchical, AllreduceAlgorithm::ThreePhase};

/// Against sums in double. An fp32 sum of n values of size 1 errs by at most (n - 1) 2^-24 of the sum of magnitudes; a 16-bit wire adds half
/// a unit (2^-11 for fp16, 2^-8 for bf16) of that sum per hop, of which there are at most n.
void expect_sums(const Buffers& in, const Buffers& out, WireType wire, const std::string& what) {
  const double unit = wire == WireType::Fp32   ? std::pow(2, -24)
                      : wire == WireType::Fp16 ? std::pow(2, -11)
                                               : std::pow(2, -8);
  const auto ranks = static_cast<double>(in.size());
  for (std::size_t i = 0; i < in[0].size(); ++i) {
    double sum = 0, magnitude = 0;
    for (const auto& b : in) {
      sum += b[i];
      magnitude += std::abs(b[i]);
    }
    ASSERT_NEAR(out[0][i], sum, magnitude * ranks * unit) << what << " element " << i;
  }
  for (std::size_t r = 1; r < out.size(); ++r) ASSERT_EQ(out[r], out[0]) << what << " rank " << r;
}

class Algorithms : public testing::TestWithParam<AllreduceAlgorithm> {};

TEST_P(Algorithms, SumOnEveryRankOfEverySizeAndCount) {
  for (int ranks = 1; ranks <= 16; ++ranks) {
    for (const std::int64_t elements : {0, 1, 5, 1000, 4099}) {
      if (ranks > 8 && elements == 4099) continue;  // threads on few cores
      const Buffers in = random_buffers(ranks, elements);
      for (const int node : {1, 4}) {
        const auto plan = plan_of(GetParam(), ranks, node, elements, WireType::Fp32);
        expect_sums(in, reduced(plan, in, WireType::Fp32), WireType::Fp32,
                    testing::PrintToString(static_cast<int>(GetParam())) + " ranks " + std::to_string(ranks) +
                        " elements " + std::to_string(elements));
      }
    }
  }
}

TEST_P(Algorithms, SixteenBitsOnTheWire) {
  for (const WireType wire : {WireType::Fp16, WireType::Bf16}) {
    for (const int ranks : {2, 3, 4, 6}) {
      const Buffers in = random_buffers(ranks, 777);
      expect_sums(in, reduced(plan_of(GetParam(), ranks, 2, 777, wire), in, wire), wire, "16 bits");
    }
  }
}

// 200,000 elements over 3 ranks are pieces of 65,536 and a rest: several messages per step. A second run gives the same bits.
TEST_P(Algorithms, ManyPiecesPerStepAndEqualBitsAgain) {
  const Buffers in = random_buffers(3, 200000);
  const auto plan = plan_of(GetParam(), 3, 3, 200000, WireType::Fp32);
  const Buffers out = reduced(plan, in, WireType::Fp32);
  expect_sums(in, out, WireType::Fp32, "pieces");
  EXPECT_EQ(reduced(plan, in, WireType::Fp32), out);
}

INSTANTIATE_TEST_SUITE_P(Planned, Algorithms, testing::ValuesIn(kAll));

/// The left fold over all groups in order, as it must come out.
std::vector<float> left_fold(const Buffers& groups, int filled) {
  std::vector<float> sum = groups[0];
  for (int g = 1; g < filled; ++g) {
    for (std::size_t i = 0; i < sum.size(); ++i) sum[i] += groups[static_cast<std::size_t>(g)][i];
  }
  return sum;
}

TEST(Ordered, TheSameBitsForAnyNumberOfRanks) {
  for (const std::int64_t elements : {1, 100, 300000}) {
    const Buffers groups = random_buffers(8, elements);
    for (const int filled : {8, 5, 1}) {  // the last step of an epoch may leave groups empty
      const std::vector<float> expected = left_fold(groups, filled);
      for (const int ranks : {1, 2, 4, 8}) {
        Buffers mine = groups;
        const int per_rank = 8 / ranks;
        on_ranks(ranks, [&](Transport& t) {
          std::vector<std::span<float>> spans;
          for (int g = 0; g < per_rank; ++g)
            spans.emplace_back(mine[static_cast<std::size_t>(t.rank() * per_rank + g)]);
          const auto run = run_ordered(spans, std::clamp(filled - t.rank() * per_rank, 0, per_rank), 1, t);
          finish(*run);
        });
        for (int r = 0; r < ranks; ++r)
          ASSERT_EQ(mine[static_cast<std::size_t>(r * per_rank)], expected)
              << ranks << " ranks, " << filled << " groups";
      }
    }
  }
}

TEST(LibraryAllreduce, Sums) {
  const Buffers in = random_buffers(4, 50);
  Buffers out = in;
  on_ranks(4, [&](Transport& t) { finish(*run_library(out[static_cast<std::size_t>(t.rank())], t)); });
  expect_sums(in, out, WireType::Fp32, "library");
}

TEST(OverRanks, SumsAndMaximaAreEqualEverywhere) {
  on_ranks(3, [](Transport& t) {
    const std::vector<double> mine{t.rank() + 0.1, -1.0 * t.rank()};
    EXPECT_THAT(sum_over_ranks(t, mine), testing::ElementsAre(0.1 + 1.1 + 2.1, -3));
    EXPECT_THAT(max_over_ranks(t, mine), testing::ElementsAre(2.1, 0));
    std::vector<std::byte> data(3, std::byte(t.rank()));
    t.broadcast(data, 2);
    EXPECT_EQ(data, std::vector<std::byte>(3, std::byte(2)));
  });
}

TEST(CommunicationLane, SeveralCollectivesAtOnce) {
  for (const int in_flight : {1, 3}) {
    const int ranks = 4, buckets = 9;
    const Buffers in = random_buffers(ranks, 3000);
    const auto plan = plan_of(AllreduceAlgorithm::Ring, ranks, 4, 3000, WireType::Fp32);
    std::vector<Buffers> out(ranks, Buffers(buckets));
    on_ranks(ranks, [&](Transport& t) {
      const auto me = static_cast<std::size_t>(t.rank());
      CommunicationLane lane(t, in_flight, Time::seconds(30));
      std::vector<std::int64_t> tickets;
      for (int b = 0; b < buckets; ++b) {
        auto& buffer = out[me][static_cast<std::size_t>(b)];
        buffer = in[me];
        tickets.push_back(
            lane.start("a test", [&](std::uint32_t s) { return run_planned(plan, s, buffer, WireType::Fp32, t); }));
      }
      for (const auto ticket : tickets) {
        const auto times = lane.wait(ticket);
        EXPECT_LE(times.begin, times.end);
      }
    });
    for (int b = 0; b < buckets; ++b) {
      Buffers sums;
      for (int r = 0; r < ranks; ++r) sums.push_back(out[static_cast<std::size_t>(r)][static_cast<std::size_t>(b)]);
      expect_sums(in, sums, WireType::Fp32, "bucket " + std::to_string(b));
    }
  }
}

TEST(CommunicationLane, ARankThatNeverComesIsNamed) {
  auto transports = thread_transports(2);
  const auto plan = plan_of(AllreduceAlgorithm::Ring, 2, 2, 10, WireType::Fp32);
  std::vector<float> buffer(10, 1.0f);
  CommunicationLane lane(*transports[0], 1, Time::milliseconds(50));
  const auto ticket = lane.start("the allreduce of bucket 2", [&](std::uint32_t s) {
    return run_planned(plan, s, buffer, WireType::Fp32, *transports[0]);
  });
  try {
    lane.wait(ticket);
    FAIL() << "no rank 1 ever came";
  } catch (const BackendError& e) {
    EXPECT_THAT(e.what(), testing::AllOf(testing::HasSubstr("rank 1 (host thread 1)"), testing::HasSubstr("bucket 2"),
                                         testing::HasSubstr("step 1 of 2")));
  }
}

TEST(Wire, RoundsToNearestEvenAndKeepsSpecials) {
  EXPECT_EQ(to_bf16(1.0f), 0x3f80);
  EXPECT_EQ(to_bf16(1.0f + 1.0f / 256), 0x3f80);  // a tie goes to the even mantissa
  EXPECT_EQ(to_bf16(1.0f + 3.0f / 256), 0x3f82);
  EXPECT_EQ(to_fp16(1.0f), 0x3c00);
  EXPECT_EQ(to_fp16(65536.0f), 0x7c00);                         // beyond the range: infinity
  EXPECT_EQ(from_fp16(to_fp16(5.9604645e-8f)), 5.9604645e-8f);  // the smallest subnormal
  for (const float v : {INFINITY, -INFINITY}) {
    EXPECT_EQ(from_bf16(to_bf16(v)), v);
    EXPECT_EQ(from_fp16(to_fp16(v)), v);
  }
  EXPECT_TRUE(std::isnan(from_bf16(to_bf16(NAN))));
  EXPECT_TRUE(std::isnan(from_fp16(to_fp16(NAN))));
  for (std::uint32_t bits = 0; bits < 65536; ++bits) {
    const float v = from_bf16(static_cast<std::uint16_t>(bits));
    ASSERT_TRUE(std::isnan(v) || to_bf16(v) == bits) << bits;
  }
}

}  // namespace
}  // namespace lockstep
