// Files with random damage: each reads well or is refused with places and reasons, whatever was done to it. The first sieve;
// the fuzzers of tests/fuzz look further.
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <iterator>

#include <gtest/gtest.h>

#include "core/base/error.hpp"
#include "core/base/rng.hpp"
#include "experiments/config_io/config_io.hpp"

namespace lockstep {
namespace {

namespace fs = std::filesystem;

std::string text_of(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

/// What users and broken disks leave in files.
const std::vector<std::string> kPieces = {"-1",
                                          "0",
                                          "1e400",
                                          "nan",
                                          "-inf",
                                          "9223372036854775808",
                                          "\"\"",
                                          "\"25\"",
                                          "\"1e30GiB\"",
                                          "\"-5us\"",
                                          "[]",
                                          "[[]]",
                                          "{}",
                                          "true",
                                          "\n",
                                          "[",
                                          "]",
                                          "\"",
                                          "=",
                                          "\\",
                                          "#",
                                          ".",
                                          ",",
                                          "[training]\n",
                                          "[[anchor]]\n",
                                          "x = 1\n",
                                          "\xff\xfe",
                                          "\"\xc3\x28\"",
                                          "1979-05-27",
                                          "0x7fffffffffffffff",
                                          "'''",
                                          "\t",
                                          "inf",
                                          "1_000",
                                          "\"0GBps\"",
                                          "{ value = 1 }",
                                          "gpus = 2147483648\n"};

/// One to four changes: a byte, a stretch taken out, a piece put in or laid over, a line twice.
std::string damaged(std::string text, Rng& rng) {
  const auto at = [&] { return static_cast<std::size_t>(rng.below(text.size() + 1)); };
  for (std::uint64_t n = 1 + rng.below(4); n > 0 && !text.empty(); --n) {
    const std::string& piece = kPieces[static_cast<std::size_t>(rng.below(kPieces.size()))];
    switch (rng.below(6)) {
      case 0: text[static_cast<std::size_t>(rng.below(text.size()))] = static_cast<char>(rng.below(256)); break;
      case 1: text.erase(at(), static_cast<std::size_t>(rng.below(40))); break;
      case 2: text.insert(at(), piece); break;
      case 3: text.resize(at()); break;
      case 4: {
        // A value: from "= " to the end of its line.
        const std::size_t equals = text.find("= ", at());
        if (equals == std::string::npos) break;
        const std::size_t end = std::min(text.find('\n', equals), text.size());
        text.replace(equals + 2, end - equals - 2, piece);
        break;
      }
      default: {
        const std::size_t from = at(), end = std::min(text.find('\n', from), text.size());
        text.insert(from, text.substr(from, end - from));
      }
    }
  }
  return text;
}

/// Reads `count` damaged versions of each file. A refusal must say something of each fault.
template <class Read>
void survive(const std::vector<fs::path>& files, const std::string& purpose, int count, Read read) {
  const fs::path directory = fs::path(testing::TempDir()) / ("mutated_" + std::to_string(getpid()) + purpose);
  fs::create_directories(directory / "files");
  fs::copy(fs::path(LOCKSTEP_SOURCE_DIR) / "data/measured", directory / "measured",
           fs::copy_options::recursive | fs::copy_options::overwrite_existing);  // GPU files name tables beside them
  int good = 0, refused = 0;
  for (const fs::path& file : files) {
    const std::string text = text_of(file);
    ASSERT_FALSE(text.empty()) << file;
    for (int i = 0; i < count; ++i) {
      Rng rng(2026, purpose + file.filename().string(), static_cast<std::uint64_t>(i));
      const fs::path path = directory / "files" / "damaged.toml";
      fs::remove(path);  // a file that is written over is flushed to the disk
      std::ofstream(path, std::ios::binary) << damaged(text, rng);
      try {
        read(path);
        ++good;
      } catch (const ConfigError& e) {
        ++refused;
        ASSERT_FALSE(e.faults().empty());
        for (const Fault& f : e.faults()) ASSERT_FALSE(f.message.empty()) << text_of(path);
      } catch (const std::exception& e) {
        FAIL() << e.what() << "\nfor the " << i << "th version of " << file << ":\n" << text_of(path);
      }
    }
  }
  EXPECT_GT(good, 0);
  EXPECT_GT(refused, good / 20) << "the damage is too mild";
  fs::remove_all(directory);
}

std::vector<fs::path> toml_in(const fs::path& folder) {
  std::vector<fs::path> out;
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    if (entry.path().extension() == ".toml") out.push_back(entry.path());
  }
  std::sort(out.begin(), out.end());
  return out;
}

const fs::path kSource = LOCKSTEP_SOURCE_DIR;

TEST(MutatedFiles, Run) {
  survive(toml_in(kSource / "experiments"), "run", 150, [](const fs::path& path) { read_run(path); });
}
TEST(MutatedFiles, Cluster) {
  survive(toml_in(kSource / "data/clusters"), "cluster", 60,
          [](const fs::path& path) { read_cluster(path.string(), {kSource / "data"}); });
}
TEST(MutatedFiles, Gpu) {
  survive(toml_in(kSource / "data/gpus"), "gpu", 40,
          [](const fs::path& path) { read_gpu(path.string(), {kSource / "data"}); });
}
TEST(MutatedFiles, Library) {
  survive(toml_in(kSource / "data/libraries"), "library", 60,
          [](const fs::path& path) { read_library(path.string(), {kSource / "data"}); });
}

}  // namespace
}  // namespace lockstep
