#include "sim/network/link_names.hpp"

#include <algorithm>
#include <string_view>

namespace lockstep::sim {
namespace {

bool matches(std::string_view pattern, std::string_view text) {
  std::size_t p = 0, t = 0, star = std::string_view::npos, resume = 0;
  while (t < text.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      resume = t;
    } else if (p < pattern.size() && pattern[p] == text[t]) {
      ++p, ++t;
    } else if (star != std::string_view::npos) {
      p = star + 1;
      t = ++resume;
    } else {
      return false;
    }
  }
  while (p < pattern.size() && pattern[p] == '*') ++p;
  return p == pattern.size();
}

struct Directions {
  bool up = false, down = false;
};

Directions named(const std::string& pattern, const std::string& cable) {
  const bool both = matches(pattern, cable);
  return {both || matches(pattern, cable + ".up"), both || matches(pattern, cable + ".down")};
}

}  // namespace

std::string cable_name(const Link& link) {
  std::string name = link.name;
  if (const auto slash = name.find('/'); slash != std::string::npos) name[slash] = '.';
  const auto arrow = name.find('>');
  if (arrow == std::string::npos) return name;
  if (name.compare(arrow, std::string::npos, ">net") == 0) return name.substr(0, arrow);
  name[arrow] = '-';
  return name;
}

std::vector<std::int32_t> find_links(std::span<const Link> links, const std::string& name) {
  std::vector<std::int32_t> out;
  for (std::size_t i = 0; i + 1 < links.size(); i += 2) {
    const Directions found = named(name, cable_name(links[i]));
    if (found.up) out.push_back(static_cast<std::int32_t>(i));
    if (found.down) out.push_back(static_cast<std::int32_t>(i + 1));
  }
  return out;
}

NodeSpec surviving_node(const NodeSpec& node, std::span<const int> nodes, const LinkChanges& changes) {
  NodeSpec out = node;
  const auto failed = [&](const std::string& cable) {
    return std::any_of(changes.failed.begin(), changes.failed.end(), [&](const std::string& name) {
      return std::any_of(nodes.begin(), nodes.end(), [&](int n) {
        const Directions gone = named(name, "node" + std::to_string(n) + cable);
        return gone.up || gone.down;
      });
    });
  };
  if (!out.nvlink.present) return out;
  if (out.nvlink.through_switch) {
    for (int gpu = 0; gpu < node.gpus; ++gpu) {
      if (failed(".gpu" + std::to_string(gpu) + "-nvswitch")) out.nvlink.switch_adds = false;
    }
    return out;
  }
  std::erase_if(out.nvlink.pairs, [&](const NvlinkPair& pair) {
    return failed(".gpu" + std::to_string(pair.a) + "-gpu" + std::to_string(pair.b));
  });
  out.nvlink.present = !out.nvlink.pairs.empty();
  return out;
}

}  // namespace lockstep::sim
