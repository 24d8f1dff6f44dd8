#include <fmt/format.h>

#include <type_traits>

#include "core/base/units_text.hpp"
#include "core/spec/words.hpp"
#include "experiments/config_io/config_io.hpp"
#include "experiments/config_io/overlay.hpp"
#include "experiments/config_io/run_fields.hpp"

namespace lockstep {

namespace {

std::string text_of(bool v) { return v ? "true" : "false"; }
std::string text_of(double v) { return fmt::format("{}", v); }
template <std::integral T>
std::string text_of(T v) {
  return fmt::format("{}", v);
}
std::string text_of(Time v) { return '"' + to_exact_text(v) + '"'; }
std::string text_of(Bytes v) { return '"' + to_exact_text(v) + '"'; }
std::string text_of(Bandwidth v) { return '"' + to_exact_text(v) + '"'; }
template <class E>
requires std::is_enum_v<E> std::string text_of(E v) { return '"' + word_of(v) + '"'; }
std::string text_of(const std::string& v) { return toml_text(v); }
std::string text_of(const BucketAlgorithm& v) {
  return '"' + word_of(v.algorithm) + (v.across == AllreduceAlgorithm::Auto ? "" : "/" + word_of(v.across)) + '"';
}
std::string text_of(const SlowLink& v) {
  return fmt::format("{{ link = {}, factor = {} }}", toml_text(v.link), v.factor);
}
std::string text_of(const SlowRank& v) { return fmt::format("{{ rank = {}, factor = {} }}", v.rank, v.factor); }
std::string text_of(const std::pair<double, std::int64_t>& v) { return fmt::format("[{}, {}]", v.first, v.second); }
template <class T>
std::string text_of(const std::vector<T>& v) {
  std::string out = "[";
  for (const T& item : v) out += (out.size() > 1 ? ", " : "") + text_of(item);
  return out + "]";
}

struct Writer {
  std::string out;
  void section(const char* name) { out += fmt::format("{}[{}]\n", out.empty() ? "" : "\n", name); }
  void values(const char* name, const std::vector<FileValue>& list, const char*) {
    if (!list.empty()) section(name);
    for (const FileValue& v : list) out += fmt::format("{} = {}\n", v.key, v.value);
  }
  template <class Field>
  void operator()(const char* key, const Field& field, const char*) {
    out += fmt::format("{} = {}\n", key, text_of(field));
  }
};

struct Keys {
  std::vector<RunKey> all;
  std::string at;
  void section(const char* name) { at = name; }
  void values(const char* name, const std::vector<FileValue>&, const char* meaning) {
    all.push_back({name, "", meaning, false});
  }
  template <class Field>
  void operator()(const char* key, const Field& field, const char* meaning) {
    all.push_back({at + "." + key, text_of(field), meaning, std::is_integral_v<Field> && !std::is_same_v<Field, bool>});
  }
};

}  // namespace

std::string write_run(const RunSpec& run) {
  Writer writer;
  visit_run(run, writer);
  return writer.out;
}

std::vector<RunKey> run_keys() {
  Keys keys;
  const RunSpec defaults;
  visit_run(defaults, keys);
  return keys.all;
}

}  // namespace lockstep
