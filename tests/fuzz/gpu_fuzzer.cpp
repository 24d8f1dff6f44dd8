// GPU files. The tables that the project's own files name lie beside them, cut to a few rows.
#include <fstream>

#include "experiments/config_io/config_io.hpp"
#include "tests/fuzz/fuzz.hpp"

namespace lockstep::fuzz {
namespace {

namespace fs = std::filesystem;

void write_short_tables() {
  constexpr int kLines = 12;
  fs::create_directories(scratch() / "gpus");
  fs::create_directories(scratch() / "measured");
  for (const auto& entry : fs::directory_iterator(fs::path(LOCKSTEP_SOURCE_DIR) / "data/measured")) {
    std::ifstream in(entry.path());
    std::ofstream out(scratch() / "measured" / entry.path().filename());
    std::string line;
    for (int i = 0; i < kLines && std::getline(in, line); ++i) out << line << '\n';
  }
}

}  // namespace

void one_input(const std::string& text) {
  const fs::path path = written("gpus/gpu.toml", text);
  const auto read = [](const fs::path& file) { return read_gpu(file.string(), {scratch()}); };
  if (!accepted([&] { read(path); })) return;
  // Tables are found from where the file lies.
  const auto beside = [&](const fs::path& file) {
    fs::copy_file(file, path, fs::copy_options::overwrite_existing);
    read(path);
  };
  require_round_trip(path, beside);
}

}  // namespace lockstep::fuzz

extern "C" int LLVMFuzzerInitialize(int*, char***) {
  lockstep::fuzz::write_short_tables();
  return 0;
}
