#include "experiments/check/laid_over.hpp"

#include <algorithm>

#include "experiments/check/rule.hpp"

namespace lockstep::check {

namespace {

/// Parts of "network.tiers[1].rate" or "network.tiers.leaf.rate"; what tells the entries of a list apart is any word to the other notation.
std::vector<std::string> parts_of(const std::string& key) {
  std::vector<std::string> parts(1);
  for (const char c : key) {
    if (c == '.' || c == '[')
      parts.emplace_back();
    else if (c != ']')
      parts.back() += c;
  }
  return parts;
}

bool is_index(const std::string& part) {
  return !part.empty() && part.find_first_not_of("0123456789") == std::string::npos;
}

/// One is the other, or holds it.
bool meet(const std::vector<std::string>& a, const std::vector<std::string>& b) {
  for (std::size_t i = 0; i < std::min(a.size(), b.size()); ++i) {
    if (a[i] != b[i] && !is_index(a[i]) && !is_index(b[i])) return false;
  }
  return true;
}

template <class Subject>
void judge(const char* section, const std::vector<FileValue>& values, std::span<const Rule<Subject>> rules,
           const Subject& subject, std::vector<std::string>& lines) {
  if (values.empty()) return;
  for (const Rule<Subject>& rule : rules) {
    for (const Doubt& doubt : rule.find(subject)) {
      const auto key = parts_of(doubt.key);
      if (std::any_of(values.begin(), values.end(), [&](const FileValue& v) { return meet(parts_of(v.key), key); }))
        lines.push_back(std::string(section) + "." + doubt.key + ": " + doubt.message);
    }
  }
}

}  // namespace

std::vector<std::string> laid_over_warnings(const Inputs& inputs) {
  const FileValues& values = inputs.run.files;
  std::vector<std::string> lines;
  judge("cluster_file", values.cluster, cluster_rules(), ClusterSubject{inputs.cluster, inputs.gpu}, lines);
  judge("gpu_file", values.gpu, gpu_rules(), inputs.gpu, lines);
  judge("library_file", values.library, library_rules(), inputs.library, lines);
  return lines;
}

}  // namespace lockstep::check
