// A parsed file as plain values that remember where they were written.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace lockstep {

/// One value of a TOML file, or of a `--set path=value` that was laid over it.
struct Node {
  enum class Kind { Boolean, Integer, Real, Text, Array, Table, Other };
  Kind kind = Kind::Table;
  bool boolean = false;
  std::int64_t integer = 0;
  double real = 0;
  std::string text;               ///< Text: its value; other scalars of a `--set`: what was typed
  std::vector<std::string> keys;  ///< Table: in file order, keys[i] names items[i]
  std::vector<Node> items;        ///< Table and Array
  std::string where;              ///< "run.toml:12:5" (its key; in an array the element) or "--set training.epochs=abc"
  int line = 0, column = 0;       ///< for ordering faults; overrides come after every line
  bool laid_over = false;         ///< it stands in another file than the one that it is read with (overlay.hpp)

  const Node* find(const std::string& key) const;
  /// For messages: `"abc"`, `12`, `a table`.
  std::string shown() const;
};

/// Reads and parses a file. Throws ConfigError with one fault: the file cannot be read (where = its path), or a syntax
/// error (where = path:line:column).
Node parse_toml_file(const std::filesystem::path& path);

/// Lays `path=value` texts over a table, in order: the last one wins, missing tables are made, a table as value
/// replaces a table, entries of a list go by number (`a.1` or `a[1]`). A value is read as TOML if it is TOML, else taken
/// as text. Throws ConfigError with every text that is no `path=value`, is not UTF-8, or goes through something that is
/// neither table nor list.
void apply_overrides(Node& root, const std::vector<std::string>& overrides);

/// The value of a dotted key ("network.tiers[0].rate"); the nearest enclosing one, at last the file itself, if it is
/// not there.
const Node& node_at(const Node& root, const std::string& key);

}  // namespace lockstep
