// A plausibility rule as data: a name, what it expects and why, and a function that finds what contradicts it.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "core/spec/cluster_spec.hpp"
#include "core/spec/gpu_spec.hpp"
#include "core/spec/library_spec.hpp"
#include "experiments/compose.hpp"

namespace lockstep::check {

/// One thing that a rule holds against a file.
struct Doubt {
  std::string key;      ///< dotted key of the file, such as "network.tiers[1].rate"
  std::string message;  ///< what the value is, what it contradicts and why
};

/// `find` is pure and gets specs that validate() has accepted.
template <class Subject>
struct Rule {
  const char* name;     ///< as in a comment "# check NAME: reason", which accepts what the rule finds in that file
  const char* expects;  ///< one phrase for people
  std::vector<Doubt> (*find)(const Subject&);
};

/// A cluster with the GPU that it names.
struct ClusterSubject {
  ClusterSpec cluster;
  GpuSpec gpu;
};

std::span<const Rule<ClusterSubject>> cluster_rules();
std::span<const Rule<GpuSpec>> gpu_rules();
std::span<const Rule<LibrarySpec>> library_rules();
/// Of a run file with every file that it names.
std::span<const Rule<Inputs>> run_rules();

/// What the machine would not do, which a prediction says too: a batch beyond the GPU's memory, a format that it has no units for.
std::vector<Doubt> machine_doubts(const Inputs& inputs);
/// The same as lines, "training.global_batch: ...".
std::vector<std::string> machine_warnings(const Inputs& inputs);

}  // namespace lockstep::check
