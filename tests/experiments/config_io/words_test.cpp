#include "experiments/config_io/words.hpp"

#include <set>

#include <gtest/gtest.h>

#include "core/base/error.hpp"
#include "experiments/config_io/config_io.hpp"
#include "tests/experiments/config_io/files.hpp"

namespace lockstep {
namespace {

template <class E>
void every_enumerator_up_to(E last) {
  std::set<std::string> seen;
  for (int i = 0; i <= static_cast<int>(last); ++i) {
    const std::string word = word_of(static_cast<E>(i));
    EXPECT_FALSE(word.empty()) << "enumerator " << i;
    EXPECT_TRUE(seen.insert(word).second) << word;
    EXPECT_EQ(value_of<E>(word), static_cast<E>(i));
  }
  EXPECT_EQ(words(E{}).size(), seen.size());
}

TEST(Words, EveryEnumeratorHasOne) {
  every_enumerator_up_to(Precision::Bf16);
  every_enumerator_up_to(OptimizerKind::Lars);
  every_enumerator_up_to(LarsVariant::Timm);
  every_enumerator_up_to(NormKernels::Batched);
  every_enumerator_up_to(WarmupKind::Gradual);
  every_enumerator_up_to(DecayKind::Cosine);
  every_enumerator_up_to(BucketPolicy::Horovod);
  every_enumerator_up_to(AllreduceAlgorithm::Library);
  every_enumerator_up_to(NetworkKind::FatTree);
  every_enumerator_up_to(TuningRule::Estimates);
  every_enumerator_up_to(Confidence::Memory);
  EXPECT_FALSE(value_of<Precision>("fp64").has_value());
}

// `lockstep list` shows choices(); the run file must take each of them and refuse anything else, at that key.
TEST(Words, TheRunFileTakesEveryChoiceAndNothingElse) {
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

}  // namespace
}  // namespace lockstep
