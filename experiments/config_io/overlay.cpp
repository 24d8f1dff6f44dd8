#include "experiments/config_io/overlay.hpp"

#include <algorithm>
#include <cctype>
#include <charconv>

#include <fmt/format.h>

namespace lockstep {

namespace {

Node marked(Node node) {
  node.laid_over = true;
  for (Node& item : node.items) item = marked(std::move(item));
  return node;
}

/// By number, or by the entry's own name.
Node* entry_of(Node& list, const std::string& key) {
  std::size_t index = 0;
  const auto [end, error] = std::from_chars(key.data(), key.data() + key.size(), index);
  if (error == std::errc() && end == key.data() + key.size())
    return index < list.items.size() ? &list.items[index] : nullptr;
  for (Node& item : list.items) {
    const Node* name = item.find("name");
    if (name != nullptr && name->kind == Node::Kind::Text && name->text == key) return &item;
  }
  return nullptr;
}

std::string entries(const Node& list) {
  std::vector<std::string> names;
  for (const Node& item : list.items) {
    const Node* name = item.find("name");
    if (name != nullptr && name->kind == Node::Kind::Text) names.push_back(name->text);
  }
  if (list.items.empty()) return "the list is empty";
  return fmt::format("expected 0 to {}{}", list.items.size() - 1,
                     names.empty() ? "" : fmt::format(", or one of {}", fmt::join(names, ", ")));
}

void lay(Node& base, const Node& over, const std::string& path, std::vector<Fault>& faults) {
  if (over.kind == Node::Kind::Table && base.kind == Node::Kind::Array) {
    for (std::size_t i = 0; i < over.keys.size(); ++i) {
      Node* entry = entry_of(base, over.keys[i]);
      const std::string at = fmt::format("{}[{}]", path, over.keys[i]);
      if (entry == nullptr)
        faults.push_back({over.items[i].where, at, "there is no such entry; " + entries(base)});
      else
        lay(*entry, over.items[i], at, faults);
    }
    return;
  }
  if (over.kind != Node::Kind::Table || base.kind != Node::Kind::Table || over.find("value") != nullptr) {
    base = marked(over);
    return;
  }
  for (std::size_t i = 0; i < over.keys.size(); ++i) {
    const std::string& key = over.keys[i];
    const auto found = std::find(base.keys.begin(), base.keys.end(), key);
    if (found != base.keys.end()) {
      lay(base.items[static_cast<std::size_t>(found - base.keys.begin())], over.items[i],
          path.empty() ? key : fmt::format("{}.{}", path, key), faults);
    } else {
      base.keys.push_back(key);
      base.items.push_back(marked(over.items[i]));
    }
  }
}

std::string key_text(const std::string& key) {
  const bool bare = !key.empty() && std::all_of(key.begin(), key.end(), [](unsigned char c) {
    return std::isalnum(c) != 0 || c == '-' || c == '_';
  });
  return bare ? key : toml_text(key);
}

std::string value_text(const Node& node) {
  std::string out;
  switch (node.kind) {
    case Node::Kind::Boolean: return node.boolean ? "true" : "false";
    case Node::Kind::Integer: return std::to_string(node.integer);
    case Node::Kind::Real: {
      const std::string text = fmt::format("{}", node.real);
      return text.find_first_not_of("-0123456789") == std::string::npos ? text + ".0" : text;
    }
    case Node::Kind::Array:
      for (const Node& item : node.items) out += (out.empty() ? "" : ", ") + value_text(item);
      return "[" + out + "]";
    case Node::Kind::Table:
      if (node.keys.empty()) return "{}";
      for (std::size_t i = 0; i < node.keys.size(); ++i)
        out += fmt::format("{}{} = {}", i == 0 ? "" : ", ", key_text(node.keys[i]), value_text(node.items[i]));
      return "{ " + out + " }";
    case Node::Kind::Text:
    case Node::Kind::Other: break;
  }
  return toml_text(node.text);
}

void collect(const Node& node, const std::string& key, std::vector<FileValue>& out) {
  if (node.kind != Node::Kind::Table || node.keys.empty()) {
    out.push_back({key, value_text(node)});
    return;
  }
  for (std::size_t i = 0; i < node.keys.size(); ++i)
    collect(node.items[i], (key.empty() ? "" : key + ".") + key_text(node.keys[i]), out);
}

}  // namespace

std::vector<Fault> lay_over(Node& base, const Node& over) {
  std::vector<Fault> faults;
  lay(base, over, "", faults);
  return faults;
}

std::vector<FileValue> file_values(const Node* table) {
  std::vector<FileValue> out;
  if (table != nullptr && !table->keys.empty()) collect(*table, "", out);
  return out;
}

std::string toml_text(const std::string& text) {
  std::string out = "\"";
  for (const char c : text) {
    const auto code = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\')
      out += std::string("\\") + c;
    else if (code < 0x20 || code == 0x7f)
      out += fmt::format("\\u{:04x}", code);
    else
      out += c;
  }
  return out + '"';
}

}  // namespace lockstep
