// Why a step takes as long as it does: one effect after the other.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "experiments/compose.hpp"

namespace lockstep {

/// Something that the simulator models and that can be left out.
struct Effect {
  std::string name;
  std::function<void(Inputs&)> off;
};

/// In the order of the ladder: from the wire to the whole system. Those that this run does not have are left out.
std::vector<Effect> effects_of(const Inputs& inputs);

/// A rung: the steady step with this effect and all before it.
struct Rung {
  std::string name;
  Time step;
};

/// The first rung is one GPU alone without noise, the last one the prediction itself, `centre`, exactly. Gradients are cut and algorithms chosen anew at
/// every rung, as they would be if the world were like that. Cost: one step per effect.
std::vector<Rung> explain_step(const Inputs& inputs, const StepPrediction& centre, const Progress& progress);

}  // namespace lockstep
