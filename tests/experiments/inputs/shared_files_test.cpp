// Runs that share files: the same inputs, each file read once.
#include "experiments/inputs/shared_files.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "experiments/inputs/read_inputs.hpp"
#include "tests/experiments/config_io/files.hpp"

namespace lockstep {
namespace {

const std::filesystem::path kSource = LOCKSTEP_SOURCE_DIR;

TEST(SharedFiles, GiveTheInputsThatEachRunWouldRead) {
  SharedFiles files({kSource / "data"});
  const std::vector<std::vector<std::string>> sets = {
      {},
      {"training.seed=7"},
      {"cluster_file.node.nic.rate=20GBps"},
      {"gpu_file.memory_achieved=600GBps"},
      {"library_file.launch=7us"},
      {"cluster.file=dgx2", "cluster.gpus=16", "training.global_batch=640"},
      {}};
  for (const auto& more : sets) {
    std::vector<std::string> set{"cluster.gpus=16", "training.global_batch=640", "output.trace_ranks=[]",
                                 "output.curve=[]", "simulation.fold=approx"};
    set.insert(set.end(), more.begin(), more.end());
    const auto run = kSource / "experiments/fujitsu_abci_2048/run.toml";
    const Inputs shared = read_inputs(run, set, files), own = read_inputs(run, set, files.paths());
    EXPECT_EQ(write_run(shared.run), write_run(own.run));
    EXPECT_EQ(predict_step(shared).digest, predict_step(own).digest);
    EXPECT_EQ(predict_step(shared).step, predict_step(own).step);
    ASSERT_TRUE(shared.top1 && own.top1);
    EXPECT_FALSE(shared.top1(shared.run.training.epochs / 2));
    const auto a = shared.top1(shared.run.training.epochs), b = own.top1(own.run.training.epochs);
    ASSERT_EQ(a.has_value(), b.has_value());
    if (a) {
      EXPECT_EQ(a->value, b->value);
      EXPECT_EQ(a->low, b->low);
      EXPECT_EQ(a->high, b->high);
    }
  }
}

TEST(SharedFiles, AreReadOnce) {
  const Scratch scratch;
  std::filesystem::copy(kSource / "data", scratch.directory() / "data", std::filesystem::copy_options::recursive);
  const auto run = scratch.write("run.toml", "[cluster]\nfile = \"flat\"\ngpus = 4\n");
  SharedFiles files({scratch.directory() / "data"});
  const Bandwidth before = read_inputs(run, {}, files).cluster.node.nic.rate.value;
  std::filesystem::remove(run);
  std::filesystem::remove(scratch.directory() / "data" / "clusters" / "flat.toml");
  EXPECT_EQ(read_inputs(run, {"cluster.gpus=2"}, files).cluster.node.nic.rate.value, before);
  EXPECT_EQ(read_inputs(run, {"cluster.gpus=2"}, files).run.cluster.gpus, 2);
}

// What is wrong is said to every run that meets it, at that run's own place.
TEST(SharedFiles, FaultsAreNotShared) {
  const Scratch scratch;
  const auto run = scratch.write("run.toml", "[cluster]\nfile = \"flat\"\ngpus = 4\n");
  SharedFiles files({kSource / "data"});
  for (const char* wrong : {"flatt", "abcl", "flatt"}) {
    const std::string set = std::string("cluster.file=") + wrong;
    const auto faults = scratch.faults([&] { read_inputs(run, {set}, files); });
    ASSERT_EQ(faults.size(), 1u);
    EXPECT_EQ(faults[0].rfind("--set " + set + ": cluster.file: there is no cluster \"" + wrong + "\"", 0), 0u)
        << faults[0];
  }
  const auto model = [&] { return scratch.faults([&] { read_inputs(run, {"model.name=resnet5"}, files); }); };
  EXPECT_EQ(model().size(), 1u);
  EXPECT_EQ(model(), model());
}

TEST(MadeOnce, ManyThreadsGetTheSameValue) {
  MadeOnce<int> values;
  std::atomic<int> wrong{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 8; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 100; ++i) {
        const int& a = values.of(std::to_string(i), [&] { return i; });
        const int& b = values.of(std::to_string(i), [&] { return -1; });
        if (a != i || &a != &b) ++wrong;
      }
    });
  }
  for (auto& t : threads) t.join();
  EXPECT_EQ(wrong, 0);
}

}  // namespace
}  // namespace lockstep
