// What the fuzzers share: files for the readers to read, what may come out of them, and changes that fit lines of values.
//
// A fuzzer is a program of Clang's libFuzzer: it feeds a reader what it makes up, guided by the code that each input reaches. The reader may give a value or
// throw ConfigError with places and reasons; anything else stops the fuzzer, which keeps the input. .ci/fuzz builds and runs all of them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/base/error.hpp"

namespace lockstep::fuzz {

/// What a fuzzer does with one input; each program defines it.
void one_input(const std::string& text);

/// A run file whose lines "#--set path=value" are overrides: the command line takes bytes that no TOML file may hold.
struct RunInput {
  std::string file;
  std::vector<std::string> overrides;
};
RunInput split_overrides(const std::string& text);

/// Says `what` did not hold and aborts, which libFuzzer takes for a finding.
void require(bool holds, const std::string& what);

/// A directory of this process, removed at its end.
const std::filesystem::path& scratch();

/// The file scratch() / name, newly made with this text.
std::filesystem::path written(const std::string& name, std::string_view text);

/// Every fault has a place (in scratch(), in the project's data, or a flag) and says something.
void require_places(const ConfigError& error);

/// Runs read(); true if it gave a value, false if it refused as it should.
template <class Read>
bool accepted(Read&& read) {
  try {
    std::forward<Read>(read)();
    return true;
  } catch (const ConfigError& error) {
    require_places(error);
    return false;
  }
}

/// For text that an accepted value was printed as: read() must accept it.
template <class Read>
void require_accepted(Read&& read, const std::string& printed) {
  try {
    std::forward<Read>(read)();
  } catch (const ConfigError& error) {
    require(false, std::string("what was printed is refused: ") + error.what() + "\n" + printed);
  }
}

/// The values of a TOML file, one `key = value` per line.
std::string printed(const std::filesystem::path& path);

/// The TOML file at `path`, which `read(path)` has accepted: printed by file_values() it is accepted again and prints the
/// same text, which the [cluster_file] of an effective run file relies on.
template <class Read>
void require_round_trip(const std::filesystem::path& path, Read&& read) {
  const std::string text = printed(path);
  const std::filesystem::path again = written("printed.toml", text);
  require_accepted([&] { read(again); }, text);
  require(printed(again) == text,
          "printed and read back it prints otherwise:\n" + text + "\n--- then ---\n" + printed(again));
}

}  // namespace lockstep::fuzz
