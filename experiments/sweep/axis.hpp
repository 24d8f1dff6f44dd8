// One `--over path=VALUES`: a key of the run file and the values that it walks through.
#pragma once

#include <string>
#include <vector>

#include "core/base/error.hpp"

namespace lockstep {

/// The most points of a sweep, and so the most values of an axis.
constexpr std::size_t kMostPoints = 1000000;

struct Axis {
  std::string path;                 ///< dotted key: "cluster.gpus"
  std::vector<std::string> values;  ///< as they would stand in `--set path=value`; at least one
  std::string flag;                 ///< for messages: "--over cluster.gpus=4..64"
};

/// VALUES, items separated by commas; a comma inside quotes, brackets or braces belongs to its item:
///
///     1024            a value, also text ("ring") or a list ([30,60,80])
///     4:64:4          from 4 in steps of 4, up to 64 at most
///     0.5:2:log5      5 values at equal ratios from 0.5 to 2, both included
///     4..2048         doubling from 4, up to 2048 at most
///     4..2048x4       times 4
///
/// Ends may carry one unit, the same: 1MiB..64MiB. Whole ends (and step) give whole numbers. So does log for sizes and for keys without a unit that
/// hold whole numbers or are not of the run file itself; elsewhere, and between ends that are not whole, values have 12 significant digits. A range
/// gives no value twice. Faults (where = `flag`, key = `path`) are added to `faults`: ends that do not rise, a step of zero, a factor of 1 or below,
/// two units.
std::vector<std::string> parse_values(const std::string& text, const std::string& flag, const std::string& path,
                                      std::vector<Fault>& faults);

/// `path=VALUES`; `name` is the flag's name, "--over". Faults as above, also for a text that is no path=VALUES; its
/// axis has no path.
Axis parse_axis(const std::string& text, const std::string& name, std::vector<Fault>& faults);

}  // namespace lockstep
