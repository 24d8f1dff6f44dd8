#include "experiments/check/accepted.hpp"

#include <fmt/format.h>

#include <fstream>
#include <regex>

namespace lockstep::check {

std::vector<Accepted> accepted_in(const std::filesystem::path& file) {
  static const std::regex begins(R"(^\s*#\s*check\s+([A-Za-z0-9_]+)\s*:\s*(.*\S)\s*$)"),
      goes_on(R"(^\s*#\s*(.*\S)\s*$)");
  std::vector<Accepted> out;
  std::ifstream in(file);
  std::string line;
  bool open = false;
  for (int number = 1; std::getline(in, line); ++number) {
    std::smatch match;
    if (std::regex_match(line, match, begins)) {
      out.push_back({match[1], match[2], fmt::format("{}:{}:{}", file.string(), number, line.find('#') + 1)});
      open = true;
    } else if (open && std::regex_match(line, match, goes_on)) {
      out.back().reason += " " + match[1].str();
    } else {
      open = false;
    }
  }
  return out;
}

}  // namespace lockstep::check
