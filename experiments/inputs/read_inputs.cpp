#include "experiments/inputs/read_inputs.hpp"

#include "core/base/error.hpp"
#include "core/plan/buckets.hpp"
#include "experiments/accuracy/run_accuracy.hpp"
#include "experiments/config_io/read_run.hpp"
#include "experiments/inputs/changed_gpu.hpp"
#include "experiments/inputs/top1.hpp"

namespace lockstep {

Inputs read_inputs(const std::filesystem::path& run_file, const std::vector<std::string>& sets,
                   const DataPaths& paths) {
  SharedFiles files(paths);
  return read_inputs(run_file, sets, files);
}

Inputs read_inputs(const std::filesystem::path& run_file, const std::vector<std::string>& sets, SharedFiles& files) {
  Reader reader(files.run(run_file), sets);
  Inputs inputs;
  RunSpec& run = inputs.run;
  run = read_run_fields(reader);
  reader.add(validate(run));
  if (!reader.explained("model")) {
    const NamedModel& model = files.model(run.model);
    if (!model.graph) reader.add({{"run file", "model.name", model.wrong}});
    if (std::string wrong = model.graph ? wrong_counts(*model.graph, run.buckets) : ""; !wrong.empty())
      reader.add({{"run file", "buckets.tensors", std::move(wrong)}});
  }

  // Files whose names could be read are read even if the run file is wrong elsewhere: all faults in one go.
  bool complete = true;
  const auto file = [&](const std::string& key, auto&& read) {
    bool good = !reader.explained(key);
    const AskedBy asked{reader.place(key), key};
    if (good) good = reader.add_elsewhere([&] { read(asked); });
    complete = complete && good;
    return good;
  };
  const auto over = [&](const char* section) {
    const Node* values = reader.find(section);
    return LaidOver{values != nullptr && values->kind == Node::Kind::Table ? values : nullptr, section};
  };
  const bool has_cluster = file("cluster.file", [&](const AskedBy& by) {
    inputs.cluster = files.cluster(run.cluster.file, by, over("cluster_file"));
  });
  file("allreduce.library",
       [&](const AskedBy& by) { inputs.library = files.library(run.allreduce.library, by, over("library_file")); });
  if (has_cluster || !run.cluster.gpu.empty()) {
    const std::string& gpu = run.cluster.gpu.empty() ? inputs.cluster.node.gpu : run.cluster.gpu;
    file("cluster.gpu", [&](const AskedBy& by) {
      inputs.gpu = files.gpu(gpu, by, over("gpu_file"));
      if (!run.files.gpu.empty()) inputs.gpu = with_moved_anchors(files.gpu(gpu, by, {}), inputs.gpu);
    });
  }
  if (complete) reader.add(validate(inputs));
  reader.finish();
  if (accuracy_covered(run)) inputs.top1 = top1_model(run, files.accuracy());
  return inputs;
}

}  // namespace lockstep
