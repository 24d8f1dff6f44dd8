// Good subjects to spoil, and what one rule says about them.
#pragma once

#include <string>
#include <vector>

#include "experiments/check/rule.hpp"
#include "experiments/config_io/config_io.hpp"

namespace lockstep::check {

inline const DataPaths kData{std::filesystem::path(LOCKSTEP_SOURCE_DIR) / "data"};

inline ClusterSubject cluster_of(const std::string& name) {
  ClusterSubject s{read_cluster(name, kData), {}};
  s.gpu = read_gpu(s.cluster.node.gpu, kData);
  return s;
}

/// "key: message" of every doubt; {"no such rule"} if there is none of that name.
template <class Subject>
std::vector<std::string> said(std::span<const Rule<Subject>> rules, const std::string& name, const Subject& subject) {
  for (const Rule<Subject>& rule : rules) {
    if (rule.name != name) continue;
    std::vector<std::string> out;
    for (const Doubt& d : rule.find(subject)) out.push_back(d.key + ": " + d.message);
    return out;
  }
  return {"no such rule"};
}

}  // namespace lockstep::check
