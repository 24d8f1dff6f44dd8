#include "experiments/inputs/shared_files.hpp"

#include <stdexcept>

#include <fmt/format.h>

#include "core/model/zoo.hpp"

namespace lockstep {

const Node& SharedFiles::run(const std::filesystem::path& file) {
  return runs_.of(file.string(), [&] { return parse_toml_file(file); });
}

ClusterSpec SharedFiles::cluster(const std::string& name, const AskedBy& asked, const LaidOver& over) {
  if (over.values != nullptr) return read_cluster(name, paths_, asked, over);
  return clusters_.of(name, [&] { return read_cluster(name, paths_, asked); });
}

LibrarySpec SharedFiles::library(const std::string& name, const AskedBy& asked, const LaidOver& over) {
  if (over.values != nullptr) return read_library(name, paths_, asked, over);
  return libraries_.of(name, [&] { return read_library(name, paths_, asked); });
}

GpuSpec SharedFiles::gpu(const std::string& name, const AskedBy& asked, const LaidOver& over) {
  if (over.values != nullptr) return read_gpu(name, paths_, asked, over);
  return gpus_.of(name, [&] { return read_gpu(name, paths_, asked); });
}

std::shared_ptr<const FittedModels> SharedFiles::accuracy() {
  return accuracy_.of("published", [&] { return std::make_shared<const FittedModels>(paths_.data); });
}

const NamedModel& SharedFiles::model(const ModelSpec& model) {
  return models_.of(fmt::format("{} {} {}", model.name, model.image_size, model.classes), [&]() -> NamedModel {
    try {
      return {std::make_shared<const ModelGraph>(build_model(model.name, model.image_size, model.classes)), ""};
    } catch (const std::invalid_argument& e) {
      return {nullptr, e.what()};
    }
  });
}

}  // namespace lockstep
