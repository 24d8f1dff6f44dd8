// Typed reading of a parsed file: every fault is collected, every key that nobody asked for is reported.
#pragma once

#include <concepts>
#include <filesystem>
#include <map>
#include <set>
#include <string>
#include <type_traits>
#include <vector>

#include "core/base/error.hpp"
#include "core/base/units.hpp"
#include "core/spec/sourced.hpp"
#include "core/spec/words.hpp"
#include "experiments/config_io/node.hpp"
#include "experiments/config_io/overlay.hpp"

namespace lockstep {

class ConfigTable;

/// One file being read. Tables hand their faults to it; finish() throws them all.
class Reader {
 public:
  /// Throws ConfigError if the file cannot be read, is not TOML, or an override has no place.
  explicit Reader(const std::filesystem::path& path, const std::vector<std::string>& overrides = {});
  /// A file that is parsed already.
  Reader(Node file, const std::vector<std::string>& overrides);
  /// The file with `over` laid over it (overlay.hpp). Faults of what was laid over keep their place in the run file and
  /// name the key with `over.name` before it.
  Reader(const std::filesystem::path& path, const LaidOver& over);
  Reader(const Reader&) = delete;
  Reader& operator=(const Reader&) = delete;

  ConfigTable root();
  /// A top-level value of the file; null if it is not there.
  const Node* find(const std::string& key) const { return file_.find(key); }
  /// The place of a dotted key: "run.toml:12:5", "--set ...", or that of the nearest enclosing table.
  const std::string& place(const std::string& key) const { return node_at(file_, key).where; }
  /// `at` gives the place.
  void fault(const Node& at, std::string key, std::string message);
  /// Faults of a core validate(): gives each its place. Those that only repeat or follow from a fault already found are
  /// dropped: the key itself was unreadable, or an unknown key looks like it.
  void add(std::vector<Fault> faults);
  /// A fault already found explains why the value at `key` cannot be used: it is there, around it, or at a key that
  /// was probably meant to be it.
  bool explained(const std::string& key) const;
  /// Collects the faults that `read` throws as ConfigError: of another file that this one names. They keep their
  /// places. True if there were none.
  template <class Read>
  bool add_elsewhere(Read&& read) {
    try {
      read();
      return true;
    } catch (const ConfigError& error) {
      for (const Fault& fault : error.faults()) found_.push_back({kOtherFiles, static_cast<int>(found_.size()), fault});
      return false;
    }
  }
  /// Reports unknown keys of every table that was asked for. Call once, before add().
  void report_unknown_keys();
  /// Throws ConfigError with all faults in the order of the file, overrides last; else does nothing.
  void finish();

 private:
  friend class ConfigTable;
  static constexpr int kOtherFiles = 2000000000;  // in the order of faults: after the lines of this one
  struct Found {
    int line, column;
    Fault fault;
    bool laid_over = false;
  };
  struct Asked {
    std::string path;
    std::set<std::string> keys;
  };
  Node file_;
  std::string over_name_;
  std::vector<Found> found_;
  std::map<const Node*, Asked> asked_;  // never iterated for output other than through sorted faults
  std::set<std::string> meant_;         // keys that an unknown key was probably meant to be
};

/// One table of a file, or its absence. read() leaves the field alone when the key is absent or faulty; either way the
/// key counts as known. Cheap to copy; valid as long as its Reader.
class ConfigTable {
 public:
  bool present() const { return node_ != nullptr; }
  /// "run.toml:12:1", for faults that are found later; empty if it is absent.
  std::string place() const { return node_ == nullptr ? "" : node_->where; }
  bool has(const std::string& key);
  /// A fault at the table if the key is missing. `example` completes "missing; expected ...".
  void require(const std::string& key, const std::string& example);
  /// A fault at the key, or at the table if the key is absent; nothing if the key could not be read anyway.
  void fault(const std::string& key, const std::string& message);

  void read(const std::string& key, bool& out);
  void read(const std::string& key, int& out);
  void read(const std::string& key, std::int64_t& out);
  void read(const std::string& key, std::uint64_t& out);
  void read(const std::string& key, double& out);
  void read(const std::string& key, std::string& out);
  void read(const std::string& key, Time& out);
  void read(const std::string& key, Bytes& out);
  void read(const std::string& key, Bandwidth& out);
  void read(const std::string& key, FlopRate& out);
  void read(const std::string& key, std::vector<int>& out);
  void read(const std::string& key, std::vector<double>& out);
  void read(const std::string& key, std::vector<std::string>& out);
  void read(const std::string& key, std::vector<std::vector<int>>& out);
  /// ["tree", "hierarchical/ring"]
  void read(const std::string& key, std::vector<BucketAlgorithm>& out);
  /// [[epoch, batch], ...]
  void read(const std::string& key, std::vector<std::pair<double, std::int64_t>>& out);

  template <class E>
  requires std::is_enum_v<E>
  void read(const std::string& key, E& out) {
    std::string word = word_of(out);
    if (!read_word(key, word, all_words<E>())) return;
    out = *value_of<E>(word);
  }

  /// Either a plain value (its own band, no source) or { value, low, high, source, confidence }, where only `value` is
  /// needed.
  template <class T>
  void read(const std::string& key, Sourced<T>& out) {
    if (!is_table(key)) {
      T value = out.value;
      if (has(key)) {
        read(key, value);
        out = Sourced<T>(value);
      }
      return;
    }
    ConfigTable t = table(key);
    t.require("value", "the best estimate");
    T value{};
    t.read("value", value);
    out = Sourced<T>(value);
    t.read("low", out.low);
    t.read("high", out.high);
    t.read("source", out.source);
    t.read("confidence", out.confidence);
    if (!t.has("value")) return;
    if (out.low > value) t.fault("low", "is above the value; expected low <= value <= high");
    if (out.high < value) t.fault("high", "is below the value; expected low <= value <= high");
  }

  /// A sub-table whose keys are free: none of them is reported as unknown. Null if the key is absent or no table.
  const Node* table_of_values(const std::string& key);
  /// A sub-table; absent if the key is.
  ConfigTable table(const std::string& key);
  /// [[key]] or a list of inline tables.
  std::vector<ConfigTable> tables(const std::string& key);

 private:
  friend class Reader;
  ConfigTable(Reader& reader, const Node* node, std::string path);
  std::string full(const std::string& key) const { return path_.empty() ? key : path_ + "." + key; }
  const Node* ask(const std::string& key);
  bool is_table(const std::string& key);
  bool read_word(const std::string& key, std::string& out, const std::vector<std::string>& known);
  template <class T>
  void read_unit(const std::string& key, T& out, T (*parse)(std::string_view));
  template <class T, class One>
  void read_list(const std::string& key, std::vector<T>& out, const std::string& expected, One&& one);
  bool number(const Node& node, const std::string& key, double& out);
  bool whole(const Node& node, const std::string& key, std::int64_t low, std::int64_t high, std::int64_t& out);

  Reader* reader_;
  const Node* node_;
  std::string path_;
};

}  // namespace lockstep
