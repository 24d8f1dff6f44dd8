// Library files; what is accepted is also limited to several GPUs and node counts.
#include "experiments/config_io/config_io.hpp"
#include "tests/fuzz/fuzz.hpp"

namespace lockstep::fuzz {

void one_input(const std::string& text) {
  const std::filesystem::path path = written("library.toml", text);
  const auto read = [](const std::filesystem::path& file) { return read_library(file.string(), {scratch()}); };
  LibrarySpec library;
  if (!accepted([&] { library = read(path); })) return;
  for (const int capability : {0, 60, 70, 90}) {
    for (const int nodes : {1, 2, 512}) {
      for (const ProtocolSpec& p : limited_to(library, capability, nodes).protocols)
        require(p.total_cap.bytes_per_second() > 0 && p.ring_cap.bytes_per_second() > 0,
                "a limit of nothing for protocol " + p.name);
    }
  }
  require_round_trip(path, read);
}

}  // namespace lockstep::fuzz
