// Collectives between processes: run by mpirun with any number of ranks, as a GoogleTest program whose tests all ranks execute
// together. `--spin` runs allreduces through a lane until something ends the job; `--fail=RANK` does so too, but that rank
// throws after a while. Both exit with 3 on BackendError, like the program.
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstring>
#include <functional>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/base/error.hpp"
#include "real/comm/communication_lane.hpp"
#include "real/comm/mpi/mpi_transport.hpp"
#include "tests/real/comm/ranks.hpp"

namespace lockstep {
namespace {

Transport* job = nullptr;  // GoogleTest has no other way in

/// Ranks stay in step even where one of them fails, so nothing here may return early.
bool equal_on_all(const std::vector<float>& mine) {
  const std::string bytes(reinterpret_cast<const char*>(mine.data()), mine.size() * sizeof(float));
  const auto all = job->gather(std::to_string(std::hash<std::string>{}(bytes)));
  return std::all_of(all.begin(), all.end(), [&](const std::string& one) { return one == all[0]; });
}

class AlgorithmsUnderMpi : public testing::TestWithParam<AllreduceAlgorithm> {};
INSTANTIATE_TEST_SUITE_P(Planned, AlgorithmsUnderMpi, testing::ValuesIn(test::kAllAlgorithms));

TEST_P(AlgorithmsUnderMpi, SumsAreRightEqualOnAllRanksAndTheSameAgain) {
  std::uint32_t sequence = 0;
  for (const std::int64_t elements : {0, 1, job->size() - 1, 1000, 100003, 400000}) {
    for (const WireType wire : {WireType::Fp32, WireType::Fp16, WireType::Bf16}) {
      const auto plan = test::plan_of(GetParam(), job->size(), 2, elements, wire, 30000);
      const auto in = test::random_buffers(job->size(), elements);
      auto first = in[static_cast<std::size_t>(job->rank())], second = first;
      test::finish(*run_planned(plan, sequence++, first, wire, *job));
      test::finish(*run_planned(plan, sequence++, second, wire, *job));
      EXPECT_LE(test::error_of(first, in, wire), 1) << elements << " elements";
      EXPECT_TRUE(equal_on_all(first)) << elements << " elements";
      EXPECT_TRUE(first == second) << elements << " elements";
    }
  }
}

// 16 groups shared among the ranks: the left fold, which one rank could make alone.
TEST(UnderMpi, OrderedSumsAreTheLeftFold) {
  if (16 % job->size() != 0) GTEST_SKIP() << "16 groups are not divisible by " << job->size();
  for (const std::int64_t elements : {1, 300000}) {
    auto groups = test::random_buffers(16, elements);
    std::vector<float> expected = groups[0];
    for (std::size_t g = 1; g < groups.size(); ++g) {
      for (std::size_t i = 0; i < expected.size(); ++i) expected[i] += groups[g][i];
    }
    const int per_rank = 16 / job->size();
    std::vector<std::span<float>> mine;
    for (int g = 0; g < per_rank; ++g) mine.emplace_back(groups[static_cast<std::size_t>(job->rank() * per_rank + g)]);
    test::finish(*run_ordered(mine, per_rank, 5, *job));
    EXPECT_TRUE(std::equal(mine[0].begin(), mine[0].end(), expected.begin())) << elements << " elements";
  }
}

TEST(UnderMpi, TheLibrarysOwnAllreduceSums) {
  const auto in = test::random_buffers(job->size(), 100003);
  auto mine = in[static_cast<std::size_t>(job->rank())];
  test::finish(*run_library(mine, *job));
  EXPECT_LE(test::error_of(mine, in, WireType::Fp32), 1);
}

TEST(UnderMpi, SeveralBucketsThroughTheLane) {
  const std::vector<std::int64_t> sizes{100000, 10, 300000, 1, 50000, 200000};
  CommunicationLane lane(*job, 3, Time::seconds(60));
  std::vector<CollectivePlan> plans;
  for (const std::int64_t n : sizes) plans.push_back(test::plan_of(AllreduceAlgorithm::Ring, job->size(), 2, n));
  for (int step = 0; step < 5; ++step) {
    std::vector<std::vector<float>> buffers;
    std::vector<std::int64_t> tickets;
    for (const std::int64_t n : sizes) buffers.push_back(test::random_buffer(job->rank(), n));
    for (std::size_t b = 0; b < sizes.size(); ++b)
      tickets.push_back(lane.start("a bucket", [&, b](std::uint32_t s) -> std::unique_ptr<CollectiveRun> {
        if (b % 2 == 0) return run_planned(plans[b], s, buffers[b], WireType::Fp32, *job);
        return run_ordered({buffers[b]}, 1, s, *job);
      }));
    for (const auto ticket : tickets) lane.wait(ticket);
    for (std::size_t b = 0; b < sizes.size(); ++b)
      EXPECT_LE(test::error_of(buffers[b], test::random_buffers(job->size(), sizes[b]), WireType::Fp32), 1);
  }
}

TEST(UnderMpi, WhoIsWhere) {
  EXPECT_THAT(job->description(), testing::HasSubstr("MPI"));
  const NodePlace place = node_place(*job, job->rank());
  EXPECT_EQ(place.nodes, 1);  // mpirun on one machine
  EXPECT_EQ(place.local_rank, job->rank());
  std::vector<std::byte> data(3, std::byte(job->rank()));
  job->broadcast(data, job->size() - 1);
  EXPECT_EQ(data, std::vector<std::byte>(3, std::byte(job->size() - 1)));
}

/// Steps as training makes them, until this rank fails or is told that another one did.
void spin(int failing) {
  const auto transport = mpi_transport();
  std::printf("rank %d pid %d\n", transport->rank(), static_cast<int>(::getpid()));
  std::fflush(stdout);
  const auto plan = test::plan_of(AllreduceAlgorithm::Ring, transport->size(), 2, 100000);
  std::vector<float> buffer(100000, 1.0f);
  CommunicationLane lane(*transport, 1, Time::seconds(600));
  for (int step = 0;; ++step) {
    lane.wait(lane.start("the allreduce of bucket 0",
                         [&](std::uint32_t s) { return run_planned(plan, s, buffer, WireType::Fp32, *transport); }));
    if (step == 20 && transport->rank() == failing)
      throw BackendError("rank " + std::to_string(failing) + ": the disk is full");
  }
}

int spin_or_fail(int failing) {
  try {
    spin(failing);
  } catch (const BackendError& e) {
    std::fprintf(stderr, "%s\n", e.what());
    abort_job(3);
  }
  return 3;
}

}  // namespace
}  // namespace lockstep

int main(int argc, char** argv) {
  using namespace lockstep;
  if (argc > 1 && std::strcmp(argv[1], "--spin") == 0) return spin_or_fail(-1);
  if (argc > 1 && std::strncmp(argv[1], "--fail=", 7) == 0) return spin_or_fail(std::atoi(argv[1] + 7));
  const auto transport = mpi_transport();
  job = transport.get();
  testing::GTEST_FLAG(brief) = transport->rank() != 0;  // one rank tells, the others only their failures
  testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
