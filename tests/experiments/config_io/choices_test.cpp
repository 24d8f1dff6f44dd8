#include "experiments/config_io/choices.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "experiments/config_io/config_io.hpp"
#include "tests/experiments/config_io/files.hpp"

namespace lockstep {
namespace {

// `lockstep list` shows choices(); the run file must take each of them and refuse anything else, at that key.
TEST(Choices, TheRunFileTakesEveryOneAndNothingElse) {
  const Scratch scratch;
  const auto path = scratch.write("run.toml", "");
  for (const Choice& choice : choices()) {
    for (const auto& [word, meaning] : choice.options) {
      EXPECT_FALSE(meaning.empty()) << choice.key << " " << word;
      std::vector<std::string> sets{choice.key + "=" + word};
      if (word == "fixed") sets.push_back("buckets.tensors=[161]");
      if (word == "ordered") sets.push_back("training.norm_group=32");
      if (word == "device") sets.push_back("training.device=cuda");
      EXPECT_NO_THROW(read_run(path, sets)) << choice.key << " " << word;
    }
    const auto faults = scratch.faults([&] { read_run(path, {choice.key + "=nonsense"}); });
    ASSERT_EQ(faults.size(), 1u) << choice.key;
    EXPECT_EQ(faults[0].rfind("--set " + choice.key + "=nonsense: " + choice.key + ": ", 0), 0u) << faults[0];
    EXPECT_NE(faults[0].find(choice.options.front().first), std::string::npos) << faults[0];
  }
}

TEST(Choices, AcrossTakesNoAlgorithmOfTwoLevels) {
  EXPECT_THAT(words_of_key("allreduce.across"), testing::ElementsAre("auto", "ring", "halving_doubling", "tree"));
}

}  // namespace
}  // namespace lockstep
