#include "experiments/inputs/read_inputs.hpp"

#include <stdexcept>

#include "core/base/error.hpp"
#include "core/model/zoo.hpp"
#include "experiments/config_io/read_run.hpp"
#include "experiments/inputs/changed_gpu.hpp"
#include "experiments/inputs/top1.hpp"

namespace lockstep {

namespace {

std::vector<Fault> model_faults(const ModelSpec& model) {
  try {
    build_model(model.name, model.image_size, model.classes);
    return {};
  } catch (const std::invalid_argument& e) {
    return {{"run file", "model.name", e.what()}};
  }
}

}  // namespace

Inputs read_inputs(const std::filesystem::path& run_file, const std::vector<std::string>& sets,
                   const DataPaths& paths) {
  Reader reader(run_file, sets);
  Inputs inputs;
  RunSpec& run = inputs.run;
  run = read_run_fields(reader);
  reader.add(validate(run));
  if (!reader.explained("model")) reader.add(model_faults(run.model));

  // Files whose names could be read are read even if the run file is wrong elsewhere: all faults in one go.
  bool complete = true;
  const auto file = [&](const std::string& key, auto&& read) {
    bool good = !reader.explained(key);
    const AskedBy asked{place_of(run_file, sets, key), key};
    if (good) good = reader.add_elsewhere([&] { read(asked); });
    complete = complete && good;
    return good;
  };
  const auto over = [&](const char* section) {
    const Node* values = reader.find(section);
    return LaidOver{values != nullptr && values->kind == Node::Kind::Table ? values : nullptr, section};
  };
  const bool has_cluster = file("cluster.file", [&](const AskedBy& by) {
    inputs.cluster = read_cluster(run.cluster.file, paths, by, over("cluster_file"));
  });
  file("allreduce.library", [&](const AskedBy& by) {
    inputs.library = read_library(run.allreduce.library, paths, by, over("library_file"));
  });
  if (has_cluster || !run.cluster.gpu.empty()) {
    const std::string& gpu = run.cluster.gpu.empty() ? inputs.cluster.node.gpu : run.cluster.gpu;
    file("cluster.gpu", [&](const AskedBy& by) {
      inputs.gpu = read_gpu(gpu, paths, by, over("gpu_file"));
      if (!run.files.gpu.empty()) inputs.gpu = with_moved_anchors(read_gpu(gpu, paths, by), inputs.gpu);
    });
  }
  if (complete) reader.add(validate(inputs));
  reader.finish();
  inputs.top1 = top1_model(run, paths.data);
  return inputs;
}

}  // namespace lockstep
