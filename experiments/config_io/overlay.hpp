// Values of a run file laid over the cluster, GPU or library file that it names: any of their fields is a what-if.
#pragma once

#include <string>
#include <vector>

#include "core/base/error.hpp"
#include "core/spec/run_spec.hpp"
#include "experiments/config_io/node.hpp"

namespace lockstep {

/// Values of a run file that are laid over a file being read: a table of the run file, and what it is called there.
struct LaidOver {
  const Node* values = nullptr;  ///< null: none
  std::string name;              ///< "cluster_file"
};

/// Lays a table over another. Tables are merged key by key; an entry of a list is named by its number from 0, or by its
/// own `name`; everything else is replaced. A sourced value, { value, low, high, ... }, that is laid over by a plain
/// value or by a table with `value` is replaced whole: it keeps no band unless the new one has its own. What was laid
/// over is marked (Node::laid_over) and keeps its places. Returns faults: entries of lists that are not there.
std::vector<Fault> lay_over(Node& base, const Node& over);

/// The leaves of a table as dotted keys and TOML texts, in file order: written under one header they give back the same
/// table. Null: none.
std::vector<FileValue> file_values(const Node* table);

/// A TOML basic string.
std::string toml_text(const std::string& text);

}  // namespace lockstep
