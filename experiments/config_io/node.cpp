#include "experiments/config_io/node.hpp"

// toml++ takes "[" before anything but a key for impossible: an assertion, or worse, an assumption for the compiler. Without both it reports an error.
#undef NDEBUG
#define TOML_ASSERT(expr) static_assert(true)
#include <toml++/toml.h>

#include <algorithm>
#include <charconv>
#include <fstream>
#include <iterator>
#include <limits>
#include <system_error>

#include <fmt/format.h>

#include "core/base/error.hpp"

namespace lockstep {

namespace {

constexpr int kAfterEveryLine = std::numeric_limits<int>::max();

/// `name` is the file; for an override it is the whole place and lines mean nothing.
class Converter {
 public:
  Converter(std::string name, bool is_override) : name_(std::move(name)), is_override_(is_override) {}

  Node convert(const toml::node& from, toml::source_position position) const {
    Node to;
    place(to, position);
    if (const auto* table = from.as_table()) {
      to.kind = Node::Kind::Table;
      for (const auto& [key, value] : *table) {
        const auto at = key.source().begin;
        to.keys.emplace_back(key.str());
        to.items.push_back(convert(value, at ? at : value.source().begin));
      }
      sort_by_place(to);
    } else if (const auto* array = from.as_array()) {
      to.kind = Node::Kind::Array;
      for (const auto& item : *array) to.items.push_back(convert(item, item.source().begin));
    } else if (const auto* text = from.as_string()) {
      to.kind = Node::Kind::Text;
      to.text = text->get();
    } else if (const auto* integer = from.as_integer()) {
      to.kind = Node::Kind::Integer;
      to.integer = integer->get();
    } else if (const auto* real = from.as_floating_point()) {
      to.kind = Node::Kind::Real;
      to.real = real->get();
    } else if (const auto* boolean = from.as_boolean()) {
      to.kind = Node::Kind::Boolean;
      to.boolean = boolean->get();
    } else {
      to.kind = Node::Kind::Other;
    }
    return to;
  }

 private:
  void place(Node& node, toml::source_position position) const {
    if (is_override_) {
      node.where = name_;
      node.line = kAfterEveryLine;
      return;
    }
    node.line = static_cast<int>(position.line);
    node.column = static_cast<int>(position.column);
    node.where = position ? fmt::format("{}:{}:{}", name_, node.line, node.column) : name_;
  }

  // The parser keeps keys in alphabetical order; people read their file from the top.
  static void sort_by_place(Node& table) {
    std::vector<std::size_t> order(table.items.size());
    for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
    std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
      return std::pair(table.items[a].line, table.items[a].column) <
             std::pair(table.items[b].line, table.items[b].column);
    });
    std::vector<std::string> keys;
    std::vector<Node> items;
    for (std::size_t i : order) {
      keys.push_back(std::move(table.keys[i]));
      items.push_back(std::move(table.items[i]));
    }
    table.keys = std::move(keys);
    table.items = std::move(items);
  }

  std::string name_;
  bool is_override_;
};

/// The right-hand side of `--set path=value`.
Node override_value(const std::string& typed, const std::string& where) {
  try {
    const toml::table parsed = toml::parse("v = " + typed);
    const toml::node* value = parsed.get("v");
    if (value != nullptr && parsed.size() == 1) {
      Node node = Converter(where, true).convert(*value, {});
      if (node.kind != Node::Kind::Text) node.text = typed;
      return node;
    }
  } catch (const toml::parse_error&) {
    // Not TOML: `--set allreduce.algorithm=ring` means the text.
  }
  Node node;
  node.kind = Node::Kind::Text;
  node.text = typed;
  node.where = where;
  node.line = kAfterEveryLine;
  return node;
}

std::vector<std::string> split(const std::string& path) {
  std::vector<std::string> parts(1);
  for (char c : path) {
    if (c == '.')
      parts.emplace_back();
    else
      parts.back() += c;
  }
  return parts;
}

/// The parts of an override's path: `a[1].b` is a.1.b.
std::vector<std::string> path_parts(const std::string& path) {
  std::string plain;
  for (std::size_t i = 0; i < path.size(); ++i) {
    if (path[i] == '[' && !plain.empty())
      plain += '.';
    else if (path[i] != ']' || (i + 1 < path.size() && path[i + 1] != '.' && path[i + 1] != '['))
      plain += path[i];
  }
  return split(plain);
}

/// The entry of a list that a part of a path names by its number; null if there is none.
Node* entry(Node& list, const std::string& part) {
  std::size_t index = 0;
  const auto [end, error] = std::from_chars(part.data(), part.data() + part.size(), index);
  const bool good = error == std::errc() && end == part.data() + part.size() && index < list.items.size();
  return good ? &list.items[index] : nullptr;
}

}  // namespace

const Node* Node::find(const std::string& key) const {
  const auto it = std::find(keys.begin(), keys.end(), key);
  return it == keys.end() ? nullptr : &items[static_cast<std::size_t>(it - keys.begin())];
}

std::string Node::shown() const {
  switch (kind) {
    case Kind::Boolean: return boolean ? "true" : "false";
    case Kind::Integer: return std::to_string(integer);
    case Kind::Real: return fmt::format("{}", real);
    case Kind::Text: return "\"" + text + "\"";
    case Kind::Array: return "a list";
    case Kind::Table: return "a table";
    case Kind::Other: break;
  }
  return "a date or time of day";
}

Node parse_toml_file(const std::filesystem::path& path) {
  std::error_code code;
  if (!std::filesystem::exists(path, code)) throw ConfigError(path.string(), "", "no such file");
  if (std::filesystem::is_directory(path, code))
    throw ConfigError(path.string(), "", "is a directory; expected a TOML file");
  std::ifstream file(path, std::ios::binary);
  if (!file) throw ConfigError(path.string(), "", "cannot be opened for reading");
  const std::string text(std::istreambuf_iterator<char>(file), {});
  if (file.bad()) throw ConfigError(path.string(), "", "cannot be read");
  try {
    Node root = Converter(path.string(), false).convert(toml::parse(text), {});
    return root;
  } catch (const toml::parse_error& error) {
    const auto at = error.source().begin;
    throw ConfigError(fmt::format("{}:{}:{}", path.string(), at.line, at.column), "",
                      fmt::format("not valid TOML: {}", error.description()));
  }
}

void apply_overrides(Node& root, const std::vector<std::string>& overrides) {
  std::vector<Fault> faults;
  for (const std::string& text : overrides) {
    const std::string where = "--set " + text;
    const std::size_t equals = text.find('=');
    const std::string path = text.substr(0, equals);
    const std::vector<std::string> parts = path_parts(path);
    if (equals == std::string::npos || std::find(parts.begin(), parts.end(), "") != parts.end()) {
      faults.push_back({where, "", "expected path=value, such as training.epochs=30"});
      continue;
    }
    Node* at = &root;
    std::string walked;
    for (std::size_t i = 0; i < parts.size() && at != nullptr; ++i) {
      if (at->kind == Node::Kind::Array) {
        if (Node* next = entry(*at, parts[i])) {
          walked += "[" + parts[i] + "]";
          at = next;
          continue;
        }
        faults.push_back(
            {where, walked,
             fmt::format("has no entry {}; it is a list of {}, numbered from 0", parts[i], at->items.size())});
        at = nullptr;
        break;
      }
      if (at->kind != Node::Kind::Table) {
        faults.push_back({where, walked, "is not a table, so nothing below it can be set; found " + at->shown()});
        at = nullptr;
        break;
      }
      walked += (i == 0 ? "" : ".") + parts[i];
      auto found = std::find(at->keys.begin(), at->keys.end(), parts[i]);
      if (found == at->keys.end()) {
        Node made;
        made.where = where;
        made.line = kAfterEveryLine;
        at->keys.push_back(parts[i]);
        at->items.push_back(std::move(made));
        at = &at->items.back();
      } else {
        at = &at->items[static_cast<std::size_t>(found - at->keys.begin())];
      }
    }
    if (at != nullptr) *at = override_value(text.substr(equals + 1), where);
  }
  if (!faults.empty()) throw ConfigError(std::move(faults));
}

const Node& node_at(const Node& root, const std::string& key) {
  const Node* at = &root;
  for (std::string part : split(key)) {
    std::vector<std::size_t> indices;
    while (!part.empty() && part.back() == ']') {
      const std::size_t open = part.rfind('[');
      if (open == std::string::npos) break;
      indices.insert(indices.begin(), static_cast<std::size_t>(std::strtoul(part.c_str() + open + 1, nullptr, 10)));
      part.resize(open);
    }
    const Node* next = at->find(part);
    if (next == nullptr) return *at;
    at = next;
    for (std::size_t index : indices) {
      if (at->kind != Node::Kind::Array || index >= at->items.size()) return *at;
      at = &at->items[index];
    }
  }
  return *at;
}

}  // namespace lockstep
