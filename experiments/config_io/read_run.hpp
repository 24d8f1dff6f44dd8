// The fields of a run file without core's checks on their values: the part that tests exercise with arbitrary specs.
#pragma once

#include "core/spec/run_spec.hpp"
#include "experiments/config_io/reader.hpp"

namespace lockstep {

/// Reads every field; faults (also unknown keys) stay in the reader.
RunSpec read_run_fields(Reader& reader);

}  // namespace lockstep
