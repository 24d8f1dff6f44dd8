#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <limits>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/base/error.hpp"
#include "real/checkpoint/checkpoint.hpp"

namespace lockstep {
namespace {

namespace fs = std::filesystem;
using testing::ElementsAre;
using testing::HasSubstr;

class CheckpointFile : public testing::Test {
 protected:
  CheckpointFile() {
    directory_ = fs::path(testing::TempDir()) / ("checkpoint_" + std::to_string(getpid()) +
                                                 testing::UnitTest::GetInstance()->current_test_info()->name());
    fs::remove_all(directory_);
    fs::create_directories(directory_);
  }
  ~CheckpointFile() override { fs::remove_all(directory_); }

  static Checkpoint example(float first = 1.5f) {
    Checkpoint c;
    c.facts["model"] = "resnet20, 10 classes = all";
    c.set("step", std::int64_t{120});
    c.set("epoch", 0.1 + 0.2);
    c.blocks["weights"] = {first, -0.0f, std::numeric_limits<float>::infinity()};
    c.blocks["velocity"] = {};
    return c;
  }
  std::string refusal(const fs::path& path) {
    try {
      read_checkpoint(path);
    } catch (const ConfigError& e) {
      return e.what();
    }
    return "";
  }
  std::string bytes(const fs::path& path) {
    std::ifstream in(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  void put(const fs::path& path, const std::string& content) { std::ofstream(path, std::ios::binary) << content; }

  fs::path directory_;
};

TEST_F(CheckpointFile, ComesBackAsItWas) {
  const fs::path path = directory_ / "a.ckpt";
  write_checkpoint(path, example());
  const Checkpoint back = read_checkpoint(path);
  EXPECT_EQ(back.facts, example().facts);
  EXPECT_EQ(back.blocks, example().blocks);
  EXPECT_TRUE(std::signbit(back.blocks.at("weights")[1]));
  EXPECT_EQ(back.integer("step"), 120);
  EXPECT_EQ(back.number("epoch"), 0.1 + 0.2);
  EXPECT_THROW(back.integer("model"), ConfigError);
  EXPECT_THROW(back.number("nothing"), ConfigError);
  EXPECT_FALSE(fs::exists(directory_ / "a.ckpt.part"));
}

TEST_F(CheckpointFile, CutAnywhereIsRefused) {
  const fs::path path = directory_ / "a.ckpt";
  write_checkpoint(path, example());
  const std::string whole = bytes(path);
  for (std::size_t length = 0; length < whole.size(); ++length) {
    put(path, whole.substr(0, length));
    EXPECT_NE(refusal(path), "") << length;
  }
  put(path, whole.substr(0, whole.size() - 1));
  EXPECT_THAT(refusal(path),
              HasSubstr(std::to_string(whole.size() - 1) + " bytes, expected " + std::to_string(whole.size())));
  put(path, whole + "x");
  EXPECT_NE(refusal(path), "");
}

TEST_F(CheckpointFile, AlteredAnywhereIsRefused) {
  const fs::path path = directory_ / "a.ckpt";
  write_checkpoint(path, example());
  const std::string whole = bytes(path);
  for (std::size_t i = 0; i < whole.size(); ++i) {
    std::string altered = whole;
    altered[i] = static_cast<char>(altered[i] ^ 4);
    put(path, altered);
    EXPECT_NE(refusal(path), "") << i;
  }
}

TEST_F(CheckpointFile, OtherFiles) {
  EXPECT_THAT(refusal(directory_ / "none.ckpt"), HasSubstr("no such file"));
  put(directory_ / "text.ckpt", "this is some text, not a checkpoint");
  EXPECT_THAT(refusal(directory_ / "text.ckpt"), HasSubstr("not a checkpoint"));
}

TEST_F(CheckpointFile, AFailedWriteLeavesWhatWasThere) {
  EXPECT_THROW(write_checkpoint(directory_ / "no" / "such" / "folder.ckpt", example()), BackendError);
  const fs::path path = directory_ / "a.ckpt";
  write_checkpoint(path, example(1));
  fs::create_directory(path.string() + ".part");  // the temporary file cannot be created
  EXPECT_THROW(write_checkpoint(path, example(2)), BackendError);
  EXPECT_EQ(read_checkpoint(path).blocks.at("weights")[0], 1);
}

TEST_F(CheckpointFile, TheStoreKeepsTheNewestAndFallsBack) {
  const CheckpointStore store(directory_ / "checkpoints", 3);
  EXPECT_TRUE(store.ids().empty());
  EXPECT_THROW(store.newest(), ConfigError);
  for (const int step : {8, 9, 10, 100}) store.save("step-" + std::to_string(step), example(static_cast<float>(step)));
  EXPECT_THAT(store.ids(), ElementsAre("step-100", "step-10", "step-9"));  // by number, not by letters

  const std::string whole = bytes(store.path_of("step-100"));
  put(store.path_of("step-100"), whole.substr(0, whole.size() / 2));
  const auto newest = store.newest();
  EXPECT_EQ(newest.id, "step-10");
  EXPECT_EQ(newest.checkpoint.blocks.at("weights")[0], 10);
  ASSERT_EQ(newest.refused.size(), 1u);
  EXPECT_THAT(newest.refused[0], HasSubstr("step-100.ckpt"));
}

}  // namespace
}  // namespace lockstep
