// Run files. A line "#--set path=value" is an override; tables [cluster_file], [gpu_file] and [library_file] are laid over files of the project.
#include "experiments/config_io/config_io.hpp"
#include "experiments/config_io/node.hpp"
#include "tests/fuzz/fuzz.hpp"

namespace lockstep::fuzz {
namespace {

void lay_over_files(const std::filesystem::path& path) {
  const DataPaths paths{std::filesystem::path(LOCKSTEP_SOURCE_DIR) / "data"};
  const Node root = parse_toml_file(path);
  const auto with = [&](const char* section, auto&& read) {
    const Node* values = root.find(section);
    if (values != nullptr && values->kind == Node::Kind::Table) accepted([&] { read(LaidOver{values, section}); });
  };
  with("cluster_file", [&](const LaidOver& over) { read_cluster("abci", paths, {}, over); });
  with("gpu_file", [&](const LaidOver& over) { read_gpu("p40", paths, {}, over); });
  with("library_file", [&](const LaidOver& over) { read_library("nccl-2.8", paths, {}, over); });
}

}  // namespace

void one_input(const std::string& text) {
  const RunInput input = split_overrides(text);
  const std::filesystem::path path = written("run.toml", input.file);
  RunSpec run;
  if (!accepted([&] { run = read_run(path, input.overrides); })) return;
  const std::string effective = write_run(run);
  RunSpec again;
  const std::filesystem::path second = written("effective.toml", effective);
  require_accepted([&] { again = read_run(second); }, effective);
  require(write_run(again) == effective, "the effective run file reads as another run:\n" + effective);
  require(validate(again).empty(), "an accepted run is refused by validate()");
  require(accumulation_at(run, run.training.global_batch) >= 1, "a step of no micro-step");
  require(steps_per_epoch(run.data.training_images, run.training.global_batch) >= 1, "an epoch of no step");
  lay_over_files(second);
}

}  // namespace lockstep::fuzz
