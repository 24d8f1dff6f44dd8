// What stands after `--over`: the values of a sweep.
#include "experiments/sweep/axis.hpp"
#include "tests/fuzz/fuzz.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace lockstep;
  std::vector<Fault> faults;
  const Axis axis = parse_axis(std::string(data, data + size), "--over", faults);
  for (const Fault& fault : faults)
    fuzz::require(!fault.where.empty() && !fault.message.empty(), "a fault without place or reason");
  if (!faults.empty()) return 0;
  fuzz::require(!axis.path.empty() && !axis.values.empty(), "an axis without a path or values");
  fuzz::require(axis.values.size() <= kMostPoints, "more values than a sweep may have");
  return 0;
}
