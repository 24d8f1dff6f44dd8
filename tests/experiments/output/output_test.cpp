#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <map>
#include <nlohmann/json.hpp>

#include "core/base/error.hpp"
#include "experiments/output/report.hpp"
#include "experiments/output/train_log.hpp"

namespace lockstep {
namespace {

namespace fs = std::filesystem;

class Directory : public ::testing::Test {
 protected:
  void SetUp() override {
    path_ = fs::temp_directory_path() / ("lockstep-test-" + std::to_string(::getpid()));
    fs::remove_all(path_);
  }
  void TearDown() override { fs::remove_all(path_); }
  fs::path path_;
};

TEST_F(Directory, NewAndEmptyAreAccepted) {
  claim_directory(path_ / "a" / "b", false);
  claim_directory(path_ / "a" / "b", false);
  EXPECT_TRUE(fs::is_empty(path_ / "a" / "b"));
}

TEST_F(Directory, FilledNeedsForceAndLosesNothing) {
  claim_directory(path_, false);
  write_file(path_ / "precious.txt", "keep");
  EXPECT_THROW(claim_directory(path_, false), ConfigError);
  claim_directory(path_, true);
  EXPECT_TRUE(fs::exists(path_ / "precious.txt"));
}

TEST_F(Directory, AFileIsRefused) {
  claim_directory(path_, false);
  write_file(path_ / "file", "x");
  EXPECT_THROW(claim_directory(path_ / "file", true), ConfigError);
  EXPECT_THROW(claim_directory(path_ / "file" / "below", true), ConfigError);
}

TEST_F(Directory, FilesAppearWhole) {
  claim_directory(path_, false);
  write_file(path_ / "f", "one");
  write_file(path_ / "f", "two");
  std::string content;
  std::ifstream(path_ / "f") >> content;
  EXPECT_EQ(content, "two");
  EXPECT_THROW(write_file(path_ / "missing" / "f", "x"), BackendError);
}

TEST(TrainLog, TellsOfLossScalingWhereItIsUsed) {
  LogRecord r;
  r.result.steps = 5;
  EXPECT_FALSE(nlohmann::json::parse(json_line(r)).contains("loss_scale"));
  EXPECT_FALSE(nlohmann::json::parse(json_line(r)).contains("skipped_steps"));
  r.result.loss_scale = 512;
  r.result.skipped = 2;
  const auto j = nlohmann::json::parse(json_line(r));
  EXPECT_EQ(j["loss_scale"], 512);
  EXPECT_EQ(j["skipped_steps"], 2);
}

TEST(Trace, IsChromeTraceJson) {
  Timeline t;
  t.events.push_back({Rank(3), Lane::Compute, 1, OpKind::Forward, "forward conv1", Time::microseconds(10),
                      Time::microseconds(25), Bytes(0)});
  t.events.push_back({Rank(3), Lane::Communication, 1, OpKind::Allreduce, "allreduce bucket 0", Time::microseconds(20),
                      Time::microseconds(50), Bytes(64)});
  const auto j = nlohmann::json::parse(to_trace(t));
  int complete = 0;
  for (const auto& e : j["traceEvents"]) {
    if (e["ph"] != "X") continue;
    ++complete;
    EXPECT_EQ(e["pid"], 3);
    if (e["name"] == "forward conv1") {
      EXPECT_DOUBLE_EQ(e["ts"].get<double>(), 10);
      EXPECT_DOUBLE_EQ(e["dur"].get<double>(), 15);
    }
  }
  EXPECT_EQ(complete, 2);
}

TEST(Trace, WhatRunsTogetherGetsRowsOfItsOwn) {
  Timeline t;
  const auto add = [&](const char* name, double begin, double end) {
    t.events.push_back({Rank(0), Lane::Communication, 1, OpKind::Allreduce, name, Time::microseconds(begin),
                        Time::microseconds(end), Bytes(8)});
  };
  add("allreduce bucket 0", 0, 10);
  add("allreduce bucket 1", 5, 15);
  add("allreduce bucket 2", 10, 20);
  add("bucket 0: ring", 0, 10);
  const auto j = nlohmann::json::parse(to_trace(t));
  std::map<std::string, int> row;
  for (const auto& e : j["traceEvents"]) {
    if (e["ph"] == "X") row[e["name"]] = e["tid"];
  }
  EXPECT_NE(row["allreduce bucket 0"], row["allreduce bucket 1"]);
  EXPECT_EQ(row["allreduce bucket 0"], row["allreduce bucket 2"]);
  EXPECT_NE(row["bucket 0: ring"], row["allreduce bucket 0"]);
}

TEST(Curve, CsvHasOneRowPerPoint) {
  CurvePoint p;
  p.prediction.gpus = 8;
  p.prediction.step = Time::milliseconds(33);
  p.efficiency = 0.9;
  const std::string csv = curve_csv({p, p});
  EXPECT_EQ(std::count(csv.begin(), csv.end(), '\n'), 3);
  EXPECT_THAT(csv, ::testing::HasSubstr("8,0,33.0000"));
}

TEST(Published, UnknownRunNamesTheNearest) {
  try {
    read_figures(std::string(LOCKSTEP_SOURCE_DIR) + "/data", "yamazaki2018");
    FAIL();
  } catch (const ConfigError& e) {
    EXPECT_THAT(e.what(), ::testing::HasSubstr("did you mean \"yamazaki2019\"?"));
  }
  EXPECT_TRUE(read_figures("nowhere", "").empty());
}

}  // namespace
}  // namespace lockstep
