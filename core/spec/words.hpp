// The words of run, cluster and library files: one table per type, for reading, writing, messages and `lockstep list`.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
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
std::span<const Word<DeviceKind>> words(DeviceKind);
std::span<const Word<Initialization>> words(Initialization);
std::span<const Word<LinearInit>> words(LinearInit);
std::span<const Word<NormAverages>> words(NormAverages);
std::span<const Word<OptimizerKind>> words(OptimizerKind);
std::span<const Word<LarsVariant>> words(LarsVariant);
std::span<const Word<NormKernels>> words(NormKernels);
std::span<const Word<UpdateTime>> words(UpdateTime);
std::span<const Word<WarmupKind>> words(WarmupKind);
std::span<const Word<DecayKind>> words(DecayKind);
std::span<const Word<WeightDecayKind>> words(WeightDecayKind);
std::span<const Word<BucketPolicy>> words(BucketPolicy);
std::span<const Word<AllreduceAlgorithm>> words(AllreduceAlgorithm);
std::span<const Word<WireFormat>> words(WireFormat);
std::span<const Word<Reduction>> words(Reduction);
std::span<const Word<Placement>> words(Placement);
std::span<const Word<FoldMode>> words(FoldMode);
std::span<const Word<Routing>> words(Routing);
std::span<const Word<DataKind>> words(DataKind);
std::span<const Word<Augmentation>> words(Augmentation);
std::span<const Word<OnBroken>> words(OnBroken);
std::span<const Word<JpegDecoder>> words(JpegDecoder);
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

}  // namespace lockstep
