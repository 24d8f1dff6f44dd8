// What `lockstep sweep` tells people about its points.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "experiments/sweep/results.hpp"

namespace lockstep::cli {

/// sweep.json of the result directory: what was asked, so that a plot knows the axes and a reader can do it again.
std::string description(const SweepRequest& request, const SweepPlan& plan, bool efficiency);

/// The points of --dry-run with their faults: a table, or one JSON object per line.
std::string dry_text(const SweepPlan& plan);
std::string dry_json(const SweepPlan& plan);

/// The page at the end. All references outlive it.
struct SweepPage {
  const SweepPlan& plan;
  const std::vector<std::string>& columns;
  const std::map<std::size_t, SweepRow>& rows;
  const std::filesystem::path& directory;
  double seconds = 0;    ///< that this took
  std::size_t kept = 0;  ///< points of an earlier run

  /// The points if they are few, the best of them, and where the results lie.
  std::string text() const;
  /// The first failed points with their errors and the number of the others; empty if there are none.
  std::string failures() const;
};

}  // namespace lockstep::cli
