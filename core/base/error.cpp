#include "core/base/error.hpp"

#include <algorithm>
#include <numeric>

namespace lockstep {

std::string Fault::text() const {
  std::string out = where;
  if (!key.empty()) out += ": " + key;
  return out + ": " + message;
}

namespace {
std::string join(const std::vector<Fault>& faults) {
  std::string out;
  for (const Fault& fault : faults) out += (out.empty() ? "" : "\n") + fault.text();
  return out;
}
}  // namespace

ConfigError::ConfigError(std::vector<Fault> faults) : std::runtime_error(join(faults)), faults_(std::move(faults)) {}

ConfigError::ConfigError(std::string where, std::string key, std::string message)
    : ConfigError(std::vector<Fault>{{std::move(where), std::move(key), std::move(message)}}) {}

void expectation_failed(const char* condition, const char* file, int line) {
  throw InternalError(std::string(file) + ":" + std::to_string(line) + ": expected " + condition);
}

std::string nearest(const std::string& word, const std::vector<std::string>& candidates) {
  // Levenshtein distance, one row at a time.
  const auto distance = [&](const std::string& other) {
    std::vector<std::size_t> row(other.size() + 1);
    std::iota(row.begin(), row.end(), std::size_t{0});
    for (std::size_t i = 1; i <= word.size(); ++i) {
      std::size_t diagonal = row[0];
      row[0] = i;
      for (std::size_t j = 1; j <= other.size(); ++j) {
        const std::size_t substituted = diagonal + (word[i - 1] != other[j - 1]);
        diagonal = row[j];
        row[j] = std::min({row[j] + 1, row[j - 1] + 1, substituted});
      }
    }
    return row.back();
  };
  std::string best;
  std::size_t best_distance = word.size() / 3 + 2;
  for (const std::string& candidate : candidates) {
    if (const std::size_t d = distance(candidate); d < best_distance) {
      best = candidate;
      best_distance = d;
    }
  }
  return best;
}

}  // namespace lockstep
