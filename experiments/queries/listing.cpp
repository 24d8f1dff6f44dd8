#include "experiments/queries/listing.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <nlohmann/json.hpp>
#include <utility>

#include "core/base/error.hpp"
#include "core/model/layer_cost.hpp"
#include "core/model/zoo.hpp"
#include "core/spec/words.hpp"
#include "experiments/config_io/choices.hpp"

namespace lockstep {

namespace {

using Entries = std::vector<ListEntry>;

Entries list_models() {
  Entries out;
  for (const ModelInfo& m : models()) {
    const ModelGraph graph = build_model(m.name);
    out.push_back({m.name, fmt::format("{}; {:.2f} M parameters in {} tensors, {:.2f} GMAC forward at {}", m.title,
                                       static_cast<double>(graph.parameters()) * 1e-6, graph.tensors.size(),
                                       forward_macs(graph) * 1e-9, m.image_size)});
  }
  return out;
}

/// Every file of a folder of the data: its stem, and what `about` makes of it.
Entries list_files(const DataPaths& paths, const char* folder,
                   const std::function<std::string(const std::string& stem)>& about) {
  Entries out;
  for (const auto& name : stems(paths, folder)) out.push_back({name, about(name)});
  return out;
}

std::string about(const ClusterSpec& c) {
  return fmt::format("{}; {} GPUs of type {}", c.title, c.total_gpus(), c.node.gpu);
}

std::string about(const GpuSpec& g) {
  std::string anchors;
  for (const auto& a : g.anchors)
    anchors += fmt::format("{}{} {} b{}{}", anchors.empty() ? "" : ", ", a.framework, word_of(a.precision), a.batch,
                           a.channels_first ? " (NCHW, when named)" : "");
  return g.title + "; " + (anchors.empty() ? "unanchored: bare model" : "anchors: " + anchors);
}

std::string about(const LibrarySpec& l) {
  std::string protocols;
  for (const auto& p : l.protocols) protocols += (protocols.empty() ? "" : ", ") + p.name;
  return "protocols " + protocols + "; " + l.source;
}

/// Every key with its default, what it means, and its words where it takes words.
Entries list_keys() {
  const std::vector<Choice> taken = choices();
  Entries out;
  for (const RunKey& k : run_keys()) {
    ListEntry& entry = out.emplace_back(k.value.empty() ? ListEntry{"[" + k.key + "]", k.meaning}
                                                        : ListEntry{k.key + " = " + k.value, k.meaning});
    const auto choice = std::find_if(taken.begin(), taken.end(), [&](const Choice& c) { return c.key == k.key; });
    if (choice == taken.end()) continue;
    std::string all;
    for (const auto& [word, meaning] : choice->options) all += (all.empty() ? "" : ", ") + word;
    entry.about += ": " + all;
  }
  return out;
}

Entries list_words() {
  Entries out;
  for (const Choice& c : choices()) {
    for (const auto& [word, meaning] : c.options) out.push_back({c.key + " = " + word, meaning});
  }
  return out;
}

}  // namespace

std::vector<Listing> list_choices(const std::string& what, const DataPaths& paths) {
  const std::vector<std::pair<std::string, std::function<Entries()>>> kinds = {
      {"models", list_models},
      {"clusters",
       [&] { return list_files(paths, "clusters", [&](const auto& n) { return about(read_cluster(n, paths)); }); }},
      {"gpus", [&] { return list_files(paths, "gpus", [&](const auto& n) { return about(read_gpu(n, paths)); }); }},
      {"libraries",
       [&] { return list_files(paths, "libraries", [&](const auto& n) { return about(read_library(n, paths)); }); }},
      {"keys", list_keys},
      {"words", list_words}};
  std::vector<Listing> out;
  for (const auto& [kind, entries] : kinds) {
    if (what == "all" || what == kind) out.push_back({kind, entries()});
  }
  if (out.empty()) {
    std::vector<std::string> known = {"all"};
    for (const auto& [kind, entries] : kinds) known.push_back(kind);
    throw ConfigError("list", "what", unknown_word(what, known));
  }
  return out;
}

std::string to_text(const std::vector<Listing>& listings) {
  std::string out;
  for (const Listing& listing : listings) {
    out += listing.kind + "\n";
    std::size_t width = 0;
    for (const ListEntry& e : listing.entries) width = std::max(width, e.name.size());
    for (const ListEntry& e : listing.entries) out += fmt::format("  {:<{}}  {}\n", e.name, width, e.about);
  }
  return out;
}

std::string to_json(const std::vector<Listing>& listings) {
  nlohmann::ordered_json out;
  for (const Listing& listing : listings) {
    auto& entries = out[listing.kind] = nlohmann::ordered_json::array();
    for (const ListEntry& e : listing.entries) entries.push_back({{"name", e.name}, {"about", e.about}});
  }
  return out.dump(2) + "\n";
}

}  // namespace lockstep
