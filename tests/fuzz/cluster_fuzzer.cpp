// Cluster files.
#include "experiments/config_io/config_io.hpp"
#include "tests/fuzz/fuzz.hpp"

namespace lockstep::fuzz {

void one_input(const std::string& text) {
  const std::filesystem::path path = written("cluster.toml", text);
  const auto read = [](const std::filesystem::path& file) { return read_cluster(file.string(), {scratch()}); };
  ClusterSpec cluster;
  if (!accepted([&] { cluster = read(path); })) return;
  require(validate(cluster).empty(), "an accepted cluster is refused by validate()");
  require_round_trip(path, read);
}

}  // namespace lockstep::fuzz
