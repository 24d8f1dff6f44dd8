#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "core/base/error.hpp"
#include "core/model/layer_cost.hpp"
#include "core/model/zoo.hpp"
#include "experiments/cli/command.hpp"
#include "experiments/config_io/config_io.hpp"
#include "experiments/config_io/words.hpp"

namespace lockstep::cli {

namespace {

using Json = nlohmann::ordered_json;

Json list_models() {
  Json out = Json::array();
  for (const ModelInfo& m : models()) {
    const ModelGraph graph = build_model(m.name);
    out.push_back({{"name", m.name},
                   {"about", fmt::format("{}; {:.2f} M parameters in {} tensors, {:.2f} GMAC forward at {}", m.title,
                                         static_cast<double>(graph.parameters()) * 1e-6, graph.tensors.size(),
                                         forward_macs(graph) * 1e-9, m.image_size)}});
  }
  return out;
}

Json list_clusters(const DataPaths& paths) {
  Json out = Json::array();
  for (const auto& name : stems(paths, "clusters")) {
    const ClusterSpec c = read_cluster(name, paths);
    out.push_back(
        {{"name", name}, {"about", fmt::format("{}; {} GPUs of type {}", c.title, c.total_gpus(), c.node.gpu)}});
  }
  return out;
}

Json list_gpus(const DataPaths& paths) {
  Json out = Json::array();
  for (const auto& name : stems(paths, "gpus")) {
    const GpuSpec g = read_gpu(name, paths);
    std::string anchors;
    for (const auto& a : g.anchors)
      anchors += fmt::format("{}{} {} b{}", anchors.empty() ? "" : ", ", a.framework, word_of(a.precision), a.batch);
    out.push_back({{"name", name},
                   {"about", g.title + "; " + (anchors.empty() ? "unanchored: bare model" : "anchors: " + anchors)}});
  }
  return out;
}

Json list_libraries(const DataPaths& paths) {
  Json out = Json::array();
  for (const auto& name : stems(paths, "libraries")) {
    const LibrarySpec l = read_library(name, paths);
    std::string protocols;
    for (const auto& p : l.protocols) protocols += (protocols.empty() ? "" : ", ") + p.name;
    out.push_back({{"name", name}, {"about", "protocols " + protocols + "; " + l.source}});
  }
  return out;
}

Json list_words() {
  Json out = Json::array();
  for (const Choice& c : choices()) {
    for (const auto& [word, meaning] : c.options) out.push_back({{"name", c.key + " = " + word}, {"about", meaning}});
  }
  return out;
}

int list(const Context& context, const std::string& what, bool json) {
  const DataPaths paths{context.data};
  const std::vector<std::pair<std::string, std::function<Json()>>> kinds = {
      {"models", list_models},
      {"clusters", [&] { return list_clusters(paths); }},
      {"gpus", [&] { return list_gpus(paths); }},
      {"libraries", [&] { return list_libraries(paths); }},
      {"words", list_words}};
  Json out;
  for (const auto& [name, make] : kinds) {
    if (what == "all" || what == name) out[name] = make();
  }
  if (out.is_null())
    throw ConfigError("list", "what", unknown_word(what, {"all", "models", "clusters", "gpus", "libraries", "words"}));
  if (json) {
    fmt::print("{}\n", out.dump(2));
    return kDone;
  }
  for (const auto& [name, rows] : out.items()) {
    fmt::print("{}\n", name);
    std::size_t width = 0;
    for (const auto& row : rows) width = std::max(width, row["name"].get<std::string>().size());
    for (const auto& row : rows)
      fmt::print("  {:<{}}  {}\n", row["name"].get<std::string>(), width, row["about"].get<std::string>());
  }
  return kDone;
}

}  // namespace

CLI::App* add_list(CLI::App& app, const Context& context, Run& run) {
  auto what = std::make_shared<std::string>("all");
  auto json = std::make_shared<bool>(false);
  CLI::App* command = app.add_subcommand(
      "list", "What there is to choose from: models, clusters, GPUs, libraries, and the words of run files");
  command->add_option("what", *what, "all, models, clusters, gpus, libraries or words")->capture_default_str();
  command->add_flag("--json", *json, "Print JSON");
  command->footer("Examples:\n  lockstep list models\n  lockstep list words");
  command->callback(
      [&context, what, json, &run] { run = [&context, what, json] { return list(context, *what, *json); }; });
  return command;
}

}  // namespace lockstep::cli
