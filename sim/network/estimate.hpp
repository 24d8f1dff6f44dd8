// A closed-form guess of what a collective costs on a cluster: it chooses protocols, under a library's rule algorithms too, and says how hard a collective's
// kernels work. Times of collectives come from events.
#pragma once

#include <string>

#include "core/plan/collective.hpp"
#include "core/plan/library_choice.hpp"
#include "core/spec/cluster_spec.hpp"
#include "core/spec/library_spec.hpp"
#include "core/spec/run_spec.hpp"
#include "sim/network/staging.hpp"

namespace lockstep::sim {

/// What a choice needs to know about the machine.
struct EstimateContext {
  const ClusterSpec& cluster;
  const LibrarySpec& library;  ///< as its file has it: by this it chooses itself
  LibrarySpec limited;         ///< the same for events and for estimates of them (limited_to)
  int node_gpus = 1;           ///< GPUs per node in use
  Staging staging;
  LibraryView view = {};  ///< of the job; used only for plans laid out for a protocol
};

/// What PCIe, and where they meet in a host bridge its copies through host memory, give a GPU for messages to the next one of its node, where groups of
/// `size` consecutive ranks of the first `used` exchange them.
Bandwidth over_pcie(const NodeSpec& node, int used, int size);

/// The context of a run with `node_gpus` GPUs per node, of `capability`. Searches rings if the library has a rule: keep it.
EstimateContext estimate_context(const ClusterSpec& cluster, const LibrarySpec& library, int node_gpus,
                                 const RunSpec& run, int capability);

/// Sum over phases of base + closed-form time (core/plan/alpha_beta.hpp) with the protocol's cost per message as alpha and each rank's share of
/// NVLink cables, PCIe or NICs as beta, within the protocol's and the library's limits; contention beyond that share is ignored. Pure.
Time closed_form(const CollectivePlan& plan, const EstimateContext& context, int protocol);

/// By which a choice is made: closed_form(), or for a plan for one protocol (algorithm "library") what the library itself believes, Time::never() where it
/// would not take it. Pure.
Time estimate(const CollectivePlan& plan, const EstimateContext& context, int protocol);

/// Index of the protocol named `asked`, or for "auto" the cheapest by estimate() among those whose `at_most` allows the size; a plan for
/// one protocol keeps it.
/// Throws ConfigError (key "allreduce.protocol") for a name that the library lacks.
int choose_protocol(const CollectivePlan& plan, const EstimateContext& context, const std::string& asked);

}  // namespace lockstep::sim
