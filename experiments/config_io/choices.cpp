#include "experiments/config_io/choices.hpp"

#include <algorithm>
#include <type_traits>

#include "core/base/error.hpp"
#include "core/spec/words.hpp"
#include "experiments/config_io/run_fields.hpp"

namespace lockstep {

namespace {

struct Collector {
  std::vector<Choice> all;
  std::string at;

  void section(const char* name) { at = name; }
  void values(const char*, const std::vector<FileValue>&, const char*) {}
  template <class Field>
  void operator()(const char* key, const Field&, const char*) {
    if constexpr (std::is_enum_v<Field>) {
      Choice& choice = all.emplace_back(Choice{at + "." + key, {}});
      for (const auto& w : words(Field{})) choice.options.emplace_back(w.word, w.meaning);
    }
  }
};

}  // namespace

std::vector<Choice> choices() {
  Collector collector;
  const RunSpec defaults;
  visit_run(defaults, collector);
  for (Choice& c : collector.all) {
    if (c.key != "allreduce.across") continue;
    std::erase_if(c.options,
                  [](const auto& option) { return !goes_across(*value_of<AllreduceAlgorithm>(option.first)); });
  }
  return collector.all;
}

std::vector<std::string> words_of_key(const std::string& key) {
  const std::vector<Choice> all = choices();
  const auto choice = std::find_if(all.begin(), all.end(), [&](const Choice& c) { return c.key == key; });
  LOCKSTEP_EXPECTS(choice != all.end());
  std::vector<std::string> known;
  for (const auto& [word, meaning] : choice->options) known.push_back(word);
  return known;
}

}  // namespace lockstep
