// Cluster files.
#include "experiments/config_io/config_io.hpp"
#include "tests/fuzz/fuzz.hpp"

namespace lockstep::fuzz {
namespace {

void cluster_file(std::string_view text) {
  const std::filesystem::path path = written("cluster.toml", text);
  const auto read = [](const std::filesystem::path& file) { return read_cluster(file.string(), {scratch()}); };
  ClusterSpec cluster;
  if (!accepted([&] { cluster = read(path); })) return;
  require(validate(cluster).empty(), "an accepted cluster is refused by validate()");
  require_round_trip(path, read);
}

}  // namespace
}  // namespace lockstep::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  lockstep::fuzz::cluster_file(std::string(data, data + size));
  return 0;
}
