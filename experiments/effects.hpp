// The effects that a run file can switch off, in one table.
#pragma once

#include <span>

#include "experiments/compose.hpp"

namespace lockstep {

/// A row of [effects]: its switch, what the ladder calls it, and what its absence does to the inputs. `off` is empty where sim/ itself reads the switch.
struct EffectSwitch {
  const char* key;   ///< of [effects]
  const char* name;  ///< in the ladder of `simulate --explain`
  bool EffectsSpec::*enabled;
  void (*off)(Inputs&);
};

/// In the order of the ladder.
std::span<const EffectSwitch> effect_switches();

/// Whether messages of this run are copied through host memory: between nodes, or between GPUs of one that meet in a host bridge.
bool copies_through_host(const Inputs& inputs);

/// The inputs as a world without the effects that are switched off would have them. Applying it twice changes nothing more.
Inputs without_switched_off(Inputs inputs);

}  // namespace lockstep
