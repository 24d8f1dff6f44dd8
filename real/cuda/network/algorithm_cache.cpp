#include "real/cuda/network/algorithm_cache.hpp"

#include <fmt/format.h>

#include <sstream>

namespace lockstep::cuda {

namespace {

constexpr std::string_view kTitle = "# lockstep algorithms: ";

bool parse(const std::string& line, std::string& problem, AlgorithmChoice& choice) {
  const std::size_t tab = line.find('\t');
  if (tab == 0 || tab == std::string::npos) return false;
  problem = line.substr(0, tab);
  std::istringstream in(line.substr(tab + 1));
  in.imbue(std::locale::classic());
  std::string rest;
  return (in >> choice.algorithm >> choice.math >> choice.workspace_bytes >> choice.milliseconds) && !(in >> rest);
}

}  // namespace

std::optional<AlgorithmChoice> AlgorithmCache::find(const std::string& problem) const {
  const auto found = choices_.find(problem);
  if (found == choices_.end()) return std::nullopt;
  return found->second;
}

std::string AlgorithmCache::text() const {
  std::string out = fmt::format("{}{}\n", kTitle, environment_);
  for (const auto& [problem, c] : choices_)
    out += fmt::format("{}\t{} {} {} {}\n", problem, c.algorithm, c.math, c.workspace_bytes, c.milliseconds);
  return out;
}

bool AlgorithmCache::merge(std::string_view text) {
  std::istringstream in{std::string(text)};
  std::string line;
  if (!std::getline(in, line) || line != std::string(kTitle) + environment_) return false;
  std::map<std::string, AlgorithmChoice> read;
  while (std::getline(in, line)) {
    std::string problem;
    AlgorithmChoice choice;
    if (!parse(line, problem, choice)) return false;
    read[problem] = choice;
  }
  for (const auto& [problem, choice] : read) choices_[problem] = choice;
  return true;
}

}  // namespace lockstep::cuda
