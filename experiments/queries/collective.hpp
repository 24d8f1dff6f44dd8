// A bare allreduce on a cluster, size by size, as nccl-tests measures it: what `lockstep collective` and the Python package answer.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/plan/library_choice.hpp"
#include "experiments/compose.hpp"
#include "experiments/config_io/config_io.hpp"
#include "sim/plan_costs.hpp"

namespace lockstep {

/// The question, in the words of the command line.
struct AllreduceRequest {
  std::string cluster, library = "nccl-2.8";  ///< paths, or stems of files in the data folder
  std::string algorithm = "auto", across = "auto", protocol = "auto", placement = "packed";
  std::vector<std::string> among;  ///< algorithm "library": of ring, tree and nvls; empty = all
  std::string sizes = "8:128MiB";  ///< FIRST:LAST doubles; "4MiB,25MiB" is a list; without a unit: bytes
  int gpus = 0;                    ///< world size; 0 = the whole cluster
  int element_bytes = 4;           ///< 1, 2, 4 or 8
  int channels = 0;                ///< rings inside a node; 0 = as many as the topology gives
  bool gpudirect = false;
  std::string stagger = "0us";  ///< local rank i enters i times this late
  std::string launch;           ///< from the call to the first message; empty = the library's
};

/// One size.
struct AllreduceRow {
  Bytes bytes;  ///< whole elements
  std::int64_t elements = 0;
  std::string algorithm, protocol;
  int channels = 1;  ///< of the widest phase, copies that the library opens included
  Time time;         ///< out of place, launch included
  Bandwidth algbw, busbw;
  std::int64_t messages = 0;
  std::vector<LibraryEstimate> estimates;  ///< algorithm "library": what decided; else empty
  int chosen = -1;                         ///< of `estimates`
};

/// The allreduce that `inputs.run.allreduce` asks for on `inputs.run.cluster.gpus` GPUs of `inputs.cluster`; of the run nothing else counts.
class BareAllreduce {
 public:
  /// Lays out the job and searches the rings of the node once. `element_bytes` >= 1; local rank i enters i times `stagger` after local rank 0.
  /// Throws ConfigError ("--protocol", "--among") for a protocol that the library does not have, and where they leave its rule nothing to choose.
  BareAllreduce(Inputs inputs, int element_bytes, Time stagger);
  BareAllreduce(const BareAllreduce&) = delete;
  BareAllreduce& operator=(const BareAllreduce&) = delete;

  /// Plans and simulates one size, every message; time grows with their number. Throws ConfigError where no plan is possible.
  AllreduceRow at(Bytes size);
  const Inputs& inputs() const { return inputs_; }

 private:
  Inputs inputs_;
  int element_bytes_;
  Time stagger_;
  sim::Machine machine_;
  sim::PlanCosts costs_;
};

/// The files that a request names and what it sets of them, checked. Throws ConfigError with the flag.
Inputs read_collective(const AllreduceRequest& request, const DataPaths& paths);
/// Throws ConfigError ("--stagger", "--element-bytes").
BareAllreduce bare_allreduce(const AllreduceRequest& request, const DataPaths& paths);
/// At least one size. Throws ConfigError ("--sizes").
std::vector<Bytes> sizes_of(const std::string& text);

/// A line for those who mean the library's own ring or tree and ask for Lockstep's; empty for others and for a library without a rule.
std::string own_channels_note(const Inputs& inputs);
/// The lines of the table: what it is and the names of the columns; a row, with up to `others` rejected candidates.
std::string table_header(const Inputs& inputs, int element_bytes);
std::string to_text(const AllreduceRow& row, const LibrarySpec& library, int others);
/// A list of rows; times in us, rates in GB/s. `library`: the one that names the protocols of estimates.
std::string to_json(const std::vector<AllreduceRow>& rows, const LibrarySpec& library);

}  // namespace lockstep
