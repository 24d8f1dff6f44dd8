// Small sweeps for tests: one DGX-1, the ladder's run file.
#pragma once

#include <filesystem>

#include "experiments/sweep/plan.hpp"

namespace lockstep {

inline SweepRequest ladder(std::vector<std::string> overs) {
  const std::filesystem::path root = LOCKSTEP_SOURCE_DIR;
  SweepRequest request;
  request.run_file = root / "experiments" / "dgx_ladders" / "run.toml";
  request.sets = {"simulation.noise=false"};
  request.overs = std::move(overs);
  request.paths = {root / "data"};
  return request;
}

}  // namespace lockstep
