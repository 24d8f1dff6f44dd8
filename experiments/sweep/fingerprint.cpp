#include "experiments/sweep/fingerprint.hpp"

#include <fstream>
#include <iterator>

#include "core/base/digest.hpp"
#include "experiments/config_io/find_file.hpp"
#include "experiments/config_io/node.hpp"
#include "experiments/output/report.hpp"

namespace lockstep {

namespace fs = std::filesystem;

namespace {

void add_bytes(Digest& digest, const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  digest.add(std::string(std::istreambuf_iterator<char>(in), {}));
}

void add_named(Digest& digest, const Node& node, const fs::path& folder) {
  std::error_code code;
  if (node.kind == Node::Kind::Text && !node.text.empty() && node.text.size() < 256) {
    const fs::path named = folder / node.text;
    if (fs::is_regular_file(named, code)) add_bytes(digest, named);
  }
  for (const Node& item : node.items) add_named(digest, item, folder);
}

}  // namespace

std::string Fingerprints::file(const fs::path& path) {
  const std::lock_guard lock(guard_);
  auto& known = known_[path.string()];
  if (known.empty()) {
    Digest digest;
    add_bytes(digest, path);
    if (path.extension() == ".toml") add_named(digest, parse_toml_file(path), path.parent_path());
    known = digest.text();
  }
  return known;
}

std::string Fingerprints::of(const Inputs& inputs) {
  Digest digest;
  digest.add(revision());
  RunSpec run = inputs.run;
  run.output = {};
  digest.add(write_run(run));
  const std::string gpu = run.cluster.gpu.empty() ? inputs.cluster.node.gpu : run.cluster.gpu;
  digest.add(file(find_file(run.cluster.file, paths_, "clusters", "cluster", {})));
  digest.add(file(find_file(run.allreduce.library, paths_, "libraries", "library", {})));
  const fs::path gpu_file = find_file(gpu, paths_, "gpus", "GPU", {});
  digest.add(file(gpu_file));
  for (const FileValue& v : run.files.gpu) {  // a table that the run names instead of the GPU file's
    const fs::path named = gpu_file.parent_path() / (v.value.size() > 2 ? v.value.substr(1, v.value.size() - 2) : "");
    std::error_code code;
    if ((v.key == "convolutions" || v.key == "profile") && fs::is_regular_file(named, code)) digest.add(file(named));
  }
  for (const char* table : {"accuracy.csv", "epochs_to_target.csv", "recipes.csv"})
    digest.add(file(paths_.data / "published" / table));
  return digest.text();
}

}  // namespace lockstep
