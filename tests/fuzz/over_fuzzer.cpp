// What stands after `--over`: the values of a sweep.
#include "experiments/sweep/axis.hpp"
#include "tests/fuzz/fuzz.hpp"

namespace lockstep::fuzz {

void one_input(const std::string& text) {
  std::vector<Fault> faults;
  const Axis axis = parse_axis(text, "--over", faults);
  for (const Fault& fault : faults)
    require(!fault.where.empty() && !fault.message.empty(), "a fault without place or reason");
  if (!faults.empty()) return;
  require(!axis.path.empty() && !axis.values.empty(), "an axis without a path or values");
  require(axis.values.size() <= kMostPoints, "more values than a sweep may have");
}

}  // namespace lockstep::fuzz
