// The keys of the run file that take one of a few words, for `lockstep list` and for flags that stand for such a key.
#pragma once

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "core/base/error.hpp"
#include "core/spec/words.hpp"

namespace lockstep {

struct Choice {
  std::string key;                                           ///< "allreduce.algorithm"
  std::vector<std::pair<std::string, std::string>> options;  ///< word, meaning
};
/// Every such key, in the order of the run file. Names of models, clusters, GPUs and libraries are not words: see
/// stems() and models().
std::vector<Choice> choices();

/// The words of one of them, in order. Precondition: `key` is one.
std::vector<std::string> words_of_key(const std::string& key);

/// The value of a word that stands for `key` elsewhere: at a flag, in a row of a table. Throws ConfigError at `where` for a word that the
/// key does not take. Precondition: E is the type of the key.
template <class E>
E value_of_key(const std::string& key, const std::string& word, const std::string& where) {
  const std::vector<std::string> known = words_of_key(key);
  if (std::find(known.begin(), known.end(), word) == known.end())
    throw ConfigError(where, "", unknown_word(word, known));
  return *value_of<E>(word);
}

}  // namespace lockstep
