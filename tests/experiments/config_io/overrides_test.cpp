#include <cmath>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "experiments/config_io/config_io.hpp"
#include "tests/experiments/config_io/files.hpp"

namespace lockstep {
namespace {

using testing::ElementsAre;

constexpr const char* kRun =
    "[training]\n"
    "epochs = 30\n"
    "global_batch = 512\n"
    "[cluster]\n"
    "file = \"abci\"\n"
    "gpus = 8\n";

TEST(Overrides, ReplaceAddAndTheLastOneWins) {
  const Scratch scratch;
  const auto path = scratch.write("run.toml", kRun);
  const RunSpec run =
      read_run(path, {"training.epochs=10", "cluster.gpus=16", "training.epochs=12.5", "buckets.size=4MiB",
                      "output.curve=[1, 2, 4]", "allreduce.algorithm=ring", "optimizer.skip_bias_and_norm=false",
                      "simulation.slow_ranks=[{rank=7, factor=1.3}]", "schedule.batches=[[0, 256], [5, 512]]"});
  EXPECT_EQ(run.training.epochs, 12.5);
  EXPECT_EQ(run.training.global_batch, 512);
  EXPECT_EQ(run.cluster.gpus, 16);
  EXPECT_EQ(run.buckets.size, Bytes::mib(4));
  EXPECT_THAT(run.output.curve, ElementsAre(1, 2, 4));
  EXPECT_EQ(run.allreduce.algorithm, AllreduceAlgorithm::Ring);
  EXPECT_FALSE(run.optimizer.skip_bias_and_norm);
  ASSERT_EQ(run.simulation.slow_ranks.size(), 1u);
  EXPECT_EQ(run.simulation.slow_ranks[0].rank, 7);
  EXPECT_EQ(run.simulation.slow_ranks[0].factor, 1.3);
  EXPECT_THAT(run.schedule.batches, ElementsAre(std::pair(0.0, std::int64_t{256}), std::pair(5.0, std::int64_t{512})));
}

TEST(Overrides, TextThatLooksLikeAnotherTypeStaysTextWhereTextIsExpected) {
  const Scratch scratch;
  const auto path = scratch.write("run.toml", kRun);
  EXPECT_EQ(read_run(path, {"output.directory=2024"}).output.directory, "2024");
  EXPECT_EQ(read_run(path, {"output.directory=1.50"}).output.directory, "1.50");
  EXPECT_EQ(read_run(path, {"output.directory=2024-01-31"}).output.directory, "2024-01-31");
  EXPECT_EQ(read_run(path, {"output.directory="}).output.directory, "");
  EXPECT_EQ(read_run(path, {"setup.source=a = b"}).setup.source, "a = b");
  EXPECT_EQ(read_run(path, {"setup.source=1\nx=2"}).setup.source, "1\nx=2");
  EXPECT_EQ(read_run(path, {"allreduce.library=\"nccl-2.4\""}).allreduce.library, "nccl-2.4");
}

TEST(Overrides, FaultsPointAtTheOverride) {
  const Scratch scratch;
  const auto path = scratch.write("run.toml", kRun);
  EXPECT_THAT(scratch.faults([&] {
    read_run(path, {"training.epochs=abc", "training.epoch=3", "buckets.size=25", "nonsense.key=1", "cluster.gpus=0"});
  }),
              testing::UnorderedElementsAre(
                  "--set training.epochs=abc: training.epochs: expected a number, found \"abc\"",
                  "--set training.epoch=3: training.epoch: unknown key; did you mean \"epochs\"?",
                  "--set buckets.size=25: buckets.size: \"25\" is not a size (the unit is missing); write \"25MiB\" or "
                  "\"4096B\"",
                  "--set nonsense.key=1: nonsense: unknown key; known here: allreduce, buckets, cluster, cluster_file, "
                  "data, effects, gpu_file, library_file, model, optimizer, output, "
                  "real, schedule, setup, simulation, training",
                  "--set cluster.gpus=0: cluster.gpus: 0 GPUs; expected 1 to 1000000"));
}

TEST(Overrides, WithoutAPlaceAreAllNamed) {
  const Scratch scratch;
  const auto path = scratch.write("run.toml", kRun);
  EXPECT_THAT(
      scratch.faults([&] {
        read_run(path, {"training.epochs", "=3", "training..epochs=3", "training.epochs.x=3"});
      }),
      ElementsAre(
          "--set training.epochs: expected path=value, such as training.epochs=30",
          "--set =3: expected path=value, such as training.epochs=30",
          "--set training..epochs=3: expected path=value, such as training.epochs=30",
          "--set training.epochs.x=3: training.epochs: is not a table, so nothing below it can be set; found 30"));
}

// The effective run file of such a run could not be read again.
TEST(Overrides, BytesThatAreNoUtf8AreRefused) {
  const Scratch scratch;
  const auto path = scratch.write("run.toml", kRun);
  for (const std::string bytes :
       {"\xff", "\x80", "a\xc3", "\xc0\xaf", "\xe0\x80\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80"}) {
    const auto faults = scratch.faults([&] { read_run(path, {"output.directory=" + bytes}); });
    EXPECT_THAT(faults, ElementsAre("--set output.directory=" + bytes +
                                    ": output.directory: is not UTF-8, which no run file could hold"));
  }
  for (const std::string text : {"\u00e9", "\u3042", "\U0001f600", "\ud7ff", "\U0010ffff", "a"}) {
    const RunSpec run = read_run(path, {"output.directory=" + text});
    EXPECT_EQ(run.output.directory, text);
    EXPECT_EQ(read_run(scratch.write("effective.toml", write_run(run))).output.directory, text);
  }
}

// It was written as -0, which reads as the whole number 0: the effective run file of the effective run file differed.
TEST(Overrides, MinusZeroIsZero) {
  const Scratch scratch;
  const auto path = scratch.write("run.toml", kRun);
  const RunSpec run = read_run(path, {"schedule.end_lr=-0.0", "schedule.batches=[[-0.0, 512]]"});
  EXPECT_FALSE(std::signbit(run.schedule.end_lr));
  const std::string effective = write_run(run);
  EXPECT_EQ(write_run(read_run(scratch.write("effective.toml", effective))), effective);
}

TEST(Overrides, EntriesOfListsByNumber) {
  const Scratch scratch;
  const auto path = scratch.write("run.toml", "[simulation]\nslow_ranks = [{ rank = 0, factor = 2 }]\n");
  EXPECT_EQ(read_run(path, {"simulation.slow_ranks.0.factor=3"}).simulation.slow_ranks[0].factor, 3);
  EXPECT_EQ(read_run(path, {"simulation.slow_ranks[0].factor=4"}).simulation.slow_ranks[0].factor, 4);
  EXPECT_THAT(scratch.faults([&] { read_run(path, {"simulation.slow_ranks.1.factor=3"}); }),
              ElementsAre("--set simulation.slow_ranks.1.factor=3: simulation.slow_ranks: has no entry 1; it is a list "
                          "of 1, numbered from 0"));
}

TEST(Overrides, PlaceOfAKey) {
  const Scratch scratch;
  const auto path = scratch.write("run.toml", kRun);
  const std::string file = path.string();
  const std::vector<std::string> sets{"cluster.gpus=16", "output.trace_ranks=[0, 99]"};
  EXPECT_EQ(place_of(path, sets, "training.global_batch"), file + ":3:1");
  EXPECT_EQ(place_of(path, sets, "cluster.gpus"), "--set cluster.gpus=16");
  EXPECT_EQ(place_of(path, sets, "output.trace_ranks"), "--set output.trace_ranks=[0, 99]");
  EXPECT_EQ(place_of(path, sets, "cluster.framework"), file + ":4:2");  // not there: its table
  EXPECT_EQ(place_of(path, sets, "model.name"), file);                  // nor its table: the file
}

}  // namespace
}  // namespace lockstep
