// The words of run and cluster files: one table per choice, for reading, writing, and `lockstep list`.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/spec/cluster_spec.hpp"
#include "core/spec/run_spec.hpp"
#include "core/spec/sourced.hpp"
#include "core/spec/tuning_spec.hpp"

namespace lockstep {

template <class E>
struct Word {
  E value;
  const char* word;     ///< as written in files
  const char* meaning;  ///< a phrase for people
};

/// The table of a type; the argument only selects it. Every enumerator stands in it once.
std::span<const Word<Precision>> words(Precision);
std::span<const Word<LinearInit>> words(LinearInit);
std::span<const Word<OptimizerKind>> words(OptimizerKind);
std::span<const Word<LarsVariant>> words(LarsVariant);
std::span<const Word<NormKernels>> words(NormKernels);
std::span<const Word<WarmupKind>> words(WarmupKind);
std::span<const Word<DecayKind>> words(DecayKind);
std::span<const Word<BucketPolicy>> words(BucketPolicy);
std::span<const Word<AllreduceAlgorithm>> words(AllreduceAlgorithm);
std::span<const Word<NetworkKind>> words(NetworkKind);
std::span<const Word<NicTransport>> words(NicTransport);
std::span<const Word<TuningRule>> words(TuningRule);
std::span<const Word<Confidence>> words(Confidence);

/// The word of a value.
template <class E>
std::string word_of(E value) {
  for (const auto& w : words(value)) {
    if (w.value == value) return w.word;
  }
  return "";
}

/// The value of a word, if it is one.
template <class E>
std::optional<E> value_of(std::string_view word) {
  for (const auto& w : words(E{})) {
    if (w.word == word) return w.value;
  }
  return std::nullopt;
}

template <class E>
std::vector<std::string> all_words() {
  std::vector<std::string> out;
  for (const auto& w : words(E{})) out.emplace_back(w.word);
  return out;
}

/// `"rong" is not known (did you mean "ring"?); expected one of auto, ring, ...`
std::string unknown_word(const std::string& word, const std::vector<std::string>& known);

/// One key of the run file that takes one of a few words.
struct Choice {
  std::string key;                                           ///< "allreduce.algorithm"
  std::vector<std::pair<std::string, std::string>> options;  ///< word, meaning
};
/// Every such key, in the order of the run file. Names of models, clusters, GPUs and libraries are not words: see
/// stems() and models().
std::vector<Choice> choices();

}  // namespace lockstep
