#include "tests/fuzz/fuzz.hpp"

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <random>
#include <sstream>
#include <vector>

#include <fmt/format.h>

#include "experiments/config_io/node.hpp"
#include "experiments/config_io/overlay.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);
extern "C" std::size_t LLVMFuzzerMutate(std::uint8_t* data, std::size_t size, std::size_t most);
extern "C" std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size, std::size_t most, unsigned seed);

namespace lockstep::fuzz {

namespace fs = std::filesystem;

namespace {

struct Directory {
  fs::path path = fs::temp_directory_path() / fmt::format("lockstep_fuzz_{}", getpid());
  Directory() { fs::create_directories(path); }
  ~Directory() {
    std::error_code ignored;
    fs::remove_all(path, ignored);
  }
  Directory(const Directory&) = delete;
  Directory& operator=(const Directory&) = delete;
};

bool starts_with(const std::string& text, const std::string& with) { return text.rfind(with, 0) == 0; }

/// Changes to a text of lines and values that keep most of it well-formed; bytes alone seldom get past a parser.
class LineMutator {
 public:
  LineMutator(std::string text, std::size_t most, unsigned seed) : text_(std::move(text)), most_(most), random_(seed) {}

  std::string changed() {
    switch (below(8)) {
      case 0: {
        const auto [from, size] = line();
        text_.erase(from, size);
        break;
      }
      case 1: {
        const auto [from, size] = line();
        text_.insert(line().first, text_.substr(from, size));
        break;
      }
      case 2: {
        const auto [from, size] = value();
        const std::string other = text_.substr(from, size);
        const auto [to, room] = value();
        text_.replace(to, room, other);
        break;
      }
      case 3:
      case 4:
      case 5: {
        const auto [from, size] = value();
        text_.replace(from, size, piece_for(text_.substr(from, size)));
        break;
      }
      default: {
        const auto [from, size] = value();
        std::vector<std::uint8_t> bytes(text_.begin() + static_cast<std::ptrdiff_t>(from),
                                        text_.begin() + static_cast<std::ptrdiff_t>(from + size));
        bytes.resize(size + 16);
        bytes.resize(LLVMFuzzerMutate(bytes.data(), size, bytes.size()));
        text_.replace(from, size, std::string(bytes.begin(), bytes.end()));
      }
    }
    text_.resize(std::min(text_.size(), most_));
    return std::move(text_);
  }

 private:
  using Stretch = std::pair<std::size_t, std::size_t>;  // where it begins, its length
  // What a number, a text, and anything may become.
  static constexpr std::string_view kNumbers[] = {"-1",
                                                  "0",
                                                  "1",
                                                  "0.001",
                                                  "1e-30",
                                                  "1e-308",
                                                  "1e308",
                                                  "inf",
                                                  "nan",
                                                  "-0.0",
                                                  "2147483647",
                                                  "-2147483648",
                                                  "9223372036854775807",
                                                  "-9223372036854775808"};
  static constexpr std::string_view kTexts[] = {"\"\"",           "\"x\"",         "\"0ps\"",
                                                "\"1ps\"",        "\"106days\"",   "\"1e9s\"",
                                                "\"1B\"",         "\"8EiB\"",      "\"9223372036854775807B\"",
                                                "\"1GBps\"",      "\"1e300GBps\"", "\"1e-300GBps\"",
                                                "\"1e300TFLOPS\""};
  static constexpr std::string_view kOthers[] = {"[]",   "[[]]",  "[0, 0]",    "{}", "{ value = 1 }",
                                                 "true", "false", "1979-05-27"};

  /// Mostly of the kind that `old` has, so that the reader comes to look at the value.
  std::string_view piece_for(std::string_view old) {
    const char first = old.empty() ? ' ' : old[0];
    const bool number = (first >= '0' && first <= '9') || first == '-', any = below(4) == 0;
    if (number && !any) return kNumbers[below(std::size(kNumbers))];
    if (first == '"' && !any) return kTexts[below(std::size(kTexts))];
    switch (below(3)) {
      case 0: return kNumbers[below(std::size(kNumbers))];
      case 1: return kTexts[below(std::size(kTexts))];
      default: return kOthers[below(std::size(kOthers))];
    }
  }

  std::size_t below(std::size_t n) { return n == 0 ? 0 : random_() % n; }
  Stretch line() {
    const std::size_t at = below(text_.size() + 1);
    const std::size_t before = at == 0 ? std::string::npos : text_.rfind('\n', at - 1);
    const std::size_t from = before == std::string::npos ? 0 : before + 1;
    const std::size_t end = std::min(text_.find('\n', from), text_.size());
    return {from, std::min(end + 1, text_.size()) - from};
  }
  /// After an equals sign up to the end of the line; after a comma, colon or bracket up to the next of them.
  Stretch value() {
    std::vector<std::size_t> begins;
    for (std::size_t i = 0; i < text_.size(); ++i) {
      if (std::string_view("=,[{:").find(text_[i]) != std::string_view::npos) begins.push_back(i + 1);
    }
    if (begins.empty()) return {text_.size(), 0};
    std::size_t from = begins[below(begins.size())];
    const char* const ends = text_[from - 1] == '=' ? "\n" : ",]}:\n";
    while (from < text_.size() && text_[from] == ' ') ++from;
    return {from, std::min(text_.find_first_of(ends, from), text_.size()) - from};
  }

  std::string text_;
  std::size_t most_;
  std::minstd_rand random_;
};

}  // namespace

RunInput split_overrides(const std::string& text) {
  constexpr std::string_view mark = "#--set ";
  RunInput input;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    if (line.rfind(mark, 0) == 0)
      input.overrides.push_back(line.substr(mark.size()));
    else
      input.file += line + '\n';
  }
  return input;
}

void require(bool holds, const std::string& what) {
  if (holds) return;
  std::fprintf(stderr, "finding: %s\n", what.c_str());
  std::abort();
}

const fs::path& scratch() {
  static const Directory directory;
  return directory.path;
}

fs::path written(const std::string& name, std::string_view text) {
  const fs::path path = scratch() / name;
  fs::remove(path);  // a file that is written over is flushed to the disk
  std::ofstream(path, std::ios::binary) << text;
  return path;
}

void require_places(const ConfigError& error) {
  require(!error.faults().empty(), "a refusal without a fault");
  for (const Fault& fault : error.faults()) {
    const bool placed = starts_with(fault.where, scratch().string()) || starts_with(fault.where, LOCKSTEP_SOURCE_DIR) ||
                        starts_with(fault.where, "--");
    require(placed, "a fault without a place: " + fault.text());
    require(!fault.message.empty(), "a fault that says nothing: " + fault.text());
  }
}

std::string printed(const fs::path& path) {
  const Node root = parse_toml_file(path);
  std::string text;
  for (const FileValue& value : file_values(&root)) text += value.key + " = " + value.value + "\n";
  return text;
}

}  // namespace lockstep::fuzz

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  lockstep::fuzz::one_input(std::string(data, data + size));
  return 0;
}

std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size, std::size_t most, unsigned seed) {
  if (seed % 4 == 0) return LLVMFuzzerMutate(data, size, most);
  lockstep::fuzz::LineMutator mutator(std::string(data, data + size), most, seed);
  const std::string text = mutator.changed();
  std::copy(text.begin(), text.end(), data);
  return text.size();
}
