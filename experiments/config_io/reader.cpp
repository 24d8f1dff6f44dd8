#include "experiments/config_io/reader.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <stdexcept>

#include <fmt/format.h>

#include "core/base/units_text.hpp"

namespace lockstep {

namespace {

/// Is one of the dotted keys the other, or inside it?
bool related(const std::string& a, const std::string& b) {
  const auto& [shorter, longer] = std::minmax(a, b, [](const auto& x, const auto& y) { return x.size() < y.size(); });
  return longer.compare(0, shorter.size(), shorter) == 0 &&
         (longer.size() == shorter.size() || longer[shorter.size()] == '.' || longer[shorter.size()] == '[');
}

}  // namespace

Reader::Reader(const std::filesystem::path& path, const std::vector<std::string>& overrides)
    : Reader(parse_toml_file(path), overrides) {}

Reader::Reader(Node file, const std::vector<std::string>& overrides) : file_(std::move(file)) {
  apply_overrides(file_, overrides);
}

Reader::Reader(const std::filesystem::path& path, const LaidOver& over)
    : file_(parse_toml_file(path)), over_name_(over.name) {
  if (over.values == nullptr) return;
  for (Fault& fault : lay_over(file_, *over.values)) found_.push_back({kOtherFiles, 0, std::move(fault), true});
}

ConfigTable Reader::root() { return {*this, &file_, ""}; }

void Reader::fault(const Node& at, std::string key, std::string message) {
  found_.push_back({at.line, at.column, {at.where, std::move(key), std::move(message)}, at.laid_over});
}

bool Reader::explained(const std::string& key) const {
  return std::any_of(meant_.begin(), meant_.end(), [&](const std::string& meant) { return related(meant, key); }) ||
         std::any_of(found_.begin(), found_.end(), [&](const Found& f) { return related(f.fault.key, key); });
}

void Reader::add(std::vector<Fault> faults) {
  std::vector<Found> more;
  for (Fault& fault : faults) {
    if (explained(fault.key)) continue;
    const Node& at = node_at(file_, fault.key);
    fault.where = at.where;
    more.push_back({at.line, at.column, std::move(fault), at.laid_over});
  }
  found_.insert(found_.end(), more.begin(), more.end());
}

void Reader::report_unknown_keys() {
  for (const auto& [node, asked] : asked_) {
    for (std::size_t i = 0; i < node->keys.size(); ++i) {
      const std::string& key = node->keys[i];
      if (asked.keys.count(key) > 0) continue;
      const std::vector<std::string> known(asked.keys.begin(), asked.keys.end());
      const std::string near = nearest(key, known);
      const std::string prefix = asked.path.empty() ? "" : asked.path + ".";
      if (!near.empty()) meant_.insert(prefix + near);
      fault(node->items[i], prefix + key,
            near.empty() ? fmt::format("unknown key; known here: {}", fmt::join(known, ", "))
                         : fmt::format("unknown key; did you mean \"{}\"?", near));
    }
  }
}

void Reader::finish() {
  if (found_.empty()) return;
  std::stable_sort(found_.begin(), found_.end(), [](const Found& a, const Found& b) {
    return std::tie(a.line, a.column, a.fault.key) < std::tie(b.line, b.column, b.fault.key);
  });
  std::vector<Fault> faults;
  for (Found& found : found_) {
    if (found.laid_over && !found.fault.key.empty()) found.fault.key = over_name_ + "." + found.fault.key;
    faults.push_back(std::move(found.fault));
  }
  throw ConfigError(std::move(faults));
}

ConfigTable::ConfigTable(Reader& reader, const Node* node, std::string path)
    : reader_(&reader), node_(node), path_(std::move(path)) {
  if (node_ != nullptr) reader.asked_[node_].path = path_;
}

const Node* ConfigTable::ask(const std::string& key) {
  if (node_ == nullptr) return nullptr;
  reader_->asked_[node_].keys.insert(key);
  return node_->find(key);
}

bool ConfigTable::has(const std::string& key) { return ask(key) != nullptr; }

bool ConfigTable::is_table(const std::string& key) {
  const Node* node = ask(key);
  return node != nullptr && node->kind == Node::Kind::Table;
}

void ConfigTable::require(const std::string& key, const std::string& example) {
  if (node_ != nullptr && !has(key)) fault(key, "missing; expected " + example);
}

void ConfigTable::fault(const std::string& key, const std::string& message) {
  const Node* node = ask(key);
  if (node == nullptr) node = node_;
  LOCKSTEP_EXPECTS(node != nullptr);
  const std::string inside = full(key) + ".";
  for (const Reader::Found& earlier : reader_->found_) {
    if (earlier.fault.key == full(key) || earlier.fault.key.rfind(inside, 0) == 0) return;
  }
  reader_->fault(*node, full(key), message);
}

bool ConfigTable::number(const Node& node, const std::string& key, double& out) {
  if (node.kind == Node::Kind::Integer) {
    out = static_cast<double>(node.integer);
  } else if (node.kind == Node::Kind::Real && std::isfinite(node.real)) {
    out = node.real + 0.0;  // minus zero is zero, also where 1 is divided by it
  } else {
    reader_->fault(node, key, "expected a number, found " + node.shown());
    return false;
  }
  return true;
}

bool ConfigTable::whole(const Node& node, const std::string& key, std::int64_t low, std::int64_t high,
                        std::int64_t& out) {
  if (node.kind != Node::Kind::Integer) {
    reader_->fault(node, key, "expected a whole number, found " + node.shown());
  } else if (node.integer < low || node.integer > high) {
    reader_->fault(node, key, fmt::format("{} is out of range; expected {} to {}", node.integer, low, high));
  } else {
    out = node.integer;
    return true;
  }
  return false;
}

void ConfigTable::read(const std::string& key, bool& out) {
  const Node* node = ask(key);
  if (node == nullptr) return;
  if (node->kind == Node::Kind::Boolean)
    out = node->boolean;
  else
    reader_->fault(*node, full(key), "expected true or false, found " + node->shown());
}

void ConfigTable::read(const std::string& key, std::int64_t& out) {
  using Limits = std::numeric_limits<std::int64_t>;
  if (const Node* node = ask(key)) whole(*node, full(key), Limits::min(), Limits::max(), out);
}

void ConfigTable::read(const std::string& key, int& out) {
  using Limits = std::numeric_limits<int>;
  std::int64_t value = 0;
  if (const Node* node = ask(key); node != nullptr && whole(*node, full(key), Limits::min(), Limits::max(), value))
    out = static_cast<int>(value);
}

void ConfigTable::read(const std::string& key, std::uint64_t& out) {
  std::int64_t value = 0;
  const Node* node = ask(key);
  if (node != nullptr && whole(*node, full(key), 0, std::numeric_limits<std::int64_t>::max(), value))
    out = static_cast<std::uint64_t>(value);
}

void ConfigTable::read(const std::string& key, double& out) {
  if (const Node* node = ask(key)) number(*node, full(key), out);
}

void ConfigTable::read(const std::string& key, std::string& out) {
  const Node* node = ask(key);
  if (node == nullptr) return;
  // `--set output.directory=2024` means the text although 2024 is a TOML number; so it does when an effective run file
  // lays it over another file.
  const bool scalar = node->kind == Node::Kind::Integer || node->kind == Node::Kind::Real;
  if (!node->text.empty() || node->kind == Node::Kind::Text)
    out = node->text;
  else if (node->laid_over && scalar)
    out = node->shown();
  else
    reader_->fault(*node, full(key), "expected text in quotes, found " + node->shown());
}

bool ConfigTable::read_word(const std::string& key, std::string& out, const std::vector<std::string>& known) {
  const Node* node = ask(key);
  if (node == nullptr) return false;
  if (node->kind != Node::Kind::Text) {
    reader_->fault(*node, full(key),
                   fmt::format("expected one of {} in quotes, found {}", fmt::join(known, ", "), node->shown()));
  } else if (std::find(known.begin(), known.end(), node->text) == known.end()) {
    reader_->fault(*node, full(key), unknown_word(node->text, known));
  } else {
    out = node->text;
    return true;
  }
  return false;
}

template <class T>
void ConfigTable::read_unit(const std::string& key, T& out, T (*parse)(std::string_view)) {
  const Node* node = ask(key);
  if (node == nullptr) return;
  // A bare number goes to the parser as well: it says that the unit is missing, with an example.
  std::string text = node->shown();
  if (node->kind == Node::Kind::Text) text = node->text;
  try {
    out = parse(text);
  } catch (const std::invalid_argument& error) {
    reader_->fault(*node, full(key), error.what());
  }
}

void ConfigTable::read(const std::string& key, Time& out) { read_unit(key, out, parse_time); }
void ConfigTable::read(const std::string& key, Bytes& out) { read_unit(key, out, parse_bytes); }
void ConfigTable::read(const std::string& key, Bandwidth& out) { read_unit(key, out, parse_bandwidth); }
void ConfigTable::read(const std::string& key, FlopRate& out) { read_unit(key, out, parse_flop_rate); }

template <class T, class One>
void ConfigTable::read_list(const std::string& key, std::vector<T>& out, const std::string& expected, One&& one) {
  const Node* node = ask(key);
  if (node == nullptr) return;
  if (node->kind != Node::Kind::Array) {
    reader_->fault(*node, full(key), "expected a list " + expected + ", found " + node->shown());
    return;
  }
  std::vector<T> items;
  bool good = true;
  for (std::size_t i = 0; i < node->items.size(); ++i) {
    T item{};
    good = one(node->items[i], fmt::format("{}[{}]", full(key), i), item) && good;
    items.push_back(std::move(item));
  }
  if (good) out = std::move(items);
}

void ConfigTable::read(const std::string& key, std::vector<int>& out) {
  read_list(key, out, "such as [1, 2, 4]", [&](const Node& node, const std::string& at, int& item) {
    std::int64_t value = 0;
    const bool good = whole(node, at, std::numeric_limits<int>::min(), std::numeric_limits<int>::max(), value);
    item = static_cast<int>(value);
    return good;
  });
}

void ConfigTable::read(const std::string& key, std::vector<double>& out) {
  read_list(key, out, "such as [30, 60, 80]",
            [&](const Node& node, const std::string& at, double& item) { return number(node, at, item); });
}

void ConfigTable::read(const std::string& key, std::vector<std::string>& out) {
  read_list(key, out, "of texts such as [\"a\", \"b\"]",
            [&](const Node& node, const std::string& at, std::string& item) {
              if (node.kind != Node::Kind::Text) {
                reader_->fault(node, at, "expected text in quotes, found " + node.shown());
                return false;
              }
              item = node.text;
              return true;
            });
}

void ConfigTable::read(const std::string& key, std::vector<BucketAlgorithm>& out) {
  read_list(key, out, "of algorithms such as [\"tree\", \"hierarchical/ring\"]",
            [&](const Node& node, const std::string& at, BucketAlgorithm& item) {
              const auto word = [&](const std::string& text, AllreduceAlgorithm& algorithm) {
                const auto value = value_of<AllreduceAlgorithm>(text);
                if (value)
                  algorithm = *value;
                else
                  reader_->fault(node, at, unknown_word(text, all_words<AllreduceAlgorithm>()));
                return value.has_value();
              };
              if (node.kind != Node::Kind::Text) {
                reader_->fault(node, at, "expected an algorithm in quotes, found " + node.shown());
                return false;
              }
              const std::size_t slash = node.text.find('/');
              if (!word(node.text.substr(0, slash), item.algorithm)) return false;
              if (slash == std::string::npos) return true;
              if (!word(node.text.substr(slash + 1), item.across)) return false;
              if (item.across != AllreduceAlgorithm::Auto) return true;
              reader_->fault(node, at, "\"auto\" after a slash; expected ring, halving_doubling or tree, or no slash");
              return false;
            });
}

void ConfigTable::read(const std::string& key, std::vector<std::vector<int>>& out) {
  read_list(key, out, "of lists such as [[0, 1], [2, 3]]",
            [&](const Node& node, const std::string& at, std::vector<int>& row) {
              if (node.kind != Node::Kind::Array) {
                reader_->fault(node, at, "expected a list such as [0, 1], found " + node.shown());
                return false;
              }
              for (std::size_t i = 0; i < node.items.size(); ++i) {
                std::int64_t value = 0;
                if (!whole(node.items[i], fmt::format("{}[{}]", at, i), std::numeric_limits<int>::min(),
                           std::numeric_limits<int>::max(), value))
                  return false;
                row.push_back(static_cast<int>(value));
              }
              return true;
            });
}

void ConfigTable::read(const std::string& key, std::vector<std::pair<double, std::int64_t>>& out) {
  read_list(key, out, "of pairs such as [[0, 8192], [30, 16384]]",
            [&](const Node& node, const std::string& at, std::pair<double, std::int64_t>& item) {
              if (node.kind != Node::Kind::Array || node.items.size() != 2) {
                reader_->fault(node, at,
                               "expected a pair such as [30, 16384], found " +
                                   (node.kind == Node::Kind::Array ? fmt::format("a list of {}", node.items.size())
                                                                   : node.shown()));
                return false;
              }
              const bool first = number(node.items[0], at + "[0]", item.first);
              return whole(node.items[1], at + "[1]", std::numeric_limits<std::int64_t>::min(),
                           std::numeric_limits<std::int64_t>::max(), item.second) &&
                     first;
            });
}

const Node* ConfigTable::table_of_values(const std::string& key) {
  const Node* node = ask(key);
  if (node == nullptr || node->kind == Node::Kind::Table) return node;
  reader_->fault(*node, full(key), fmt::format("expected a table [{}], found {}", full(key), node->shown()));
  return nullptr;
}

ConfigTable ConfigTable::table(const std::string& key) {
  const Node* node = ask(key);
  if (node != nullptr && node->kind != Node::Kind::Table) {
    reader_->fault(*node, full(key), fmt::format("expected a table [{}], found {}", full(key), node->shown()));
    node = nullptr;
  }
  return {*reader_, node, full(key)};
}

std::vector<ConfigTable> ConfigTable::tables(const std::string& key) {
  std::vector<ConfigTable> out;
  const Node* node = ask(key);
  if (node == nullptr) return out;
  if (node->kind != Node::Kind::Array) {
    reader_->fault(*node, full(key), fmt::format("expected tables [[{}]], found {}", full(key), node->shown()));
    return out;
  }
  for (std::size_t i = 0; i < node->items.size(); ++i) {
    const Node& item = node->items[i];
    const std::string at = fmt::format("{}[{}]", full(key), i);
    if (item.kind == Node::Kind::Table)
      out.push_back(ConfigTable(*reader_, &item, at));
    else
      reader_->fault(item, at, "expected a table, found " + item.shown());
  }
  return out;
}

}  // namespace lockstep
