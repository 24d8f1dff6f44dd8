#include "experiments/queries/collective.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <utility>

#include "core/base/error.hpp"
#include "core/base/units_text.hpp"
#include "core/plan/alpha_beta.hpp"
#include "core/plan/planner.hpp"
#include "core/spec/words.hpp"
#include "experiments/config_io/choices.hpp"

namespace lockstep {

namespace {

[[noreturn]] void wrong(const std::string& flag, const std::string& message) { throw ConfigError(flag, "", message); }

Bytes size_of(const std::string& text) {
  try {
    const bool digits = !text.empty() && text.find_first_not_of("0123456789") == std::string::npos;
    return parse_bytes(digits ? text + "B" : text);
  } catch (const std::exception& e) {
    wrong("--sizes", std::string(e.what()) + "; sizes are a list, 4MiB,25MiB, or FIRST:LAST doubling, 8:1GiB");
  }
}

Time time_of(const std::string& text, const std::string& flag) {
  try {
    return parse_time(text);
  } catch (const std::invalid_argument& e) {
    wrong(flag, e.what());
  }
}

int channels_of(const CollectivePlan& plan, const NvlsSpec& nvls) {
  if (plan.algorithm == AllreduceAlgorithm::Nvls) return nvls.channels;
  int channels = 1;
  for (const Phase& phase : plan.phases) channels = std::max(channels, phase.orders.channels() * phase.copies);
  return channels;
}

bool by_library(const Inputs& inputs) { return inputs.run.allreduce.algorithm == AllreduceAlgorithm::Library; }

}  // namespace

BareAllreduce::BareAllreduce(Inputs inputs, int element_bytes, Time stagger)
    : inputs_(std::move(inputs)),
      element_bytes_(element_bytes),
      stagger_(stagger),
      machine_(inputs_.run, inputs_.cluster, inputs_.library, inputs_.gpu.compute_capability),
      costs_(machine_, inputs_.run, inputs_.cluster) {
  LOCKSTEP_EXPECTS(element_bytes >= 1);
  const AllreduceSpec& a = inputs_.run.allreduce;
  if (std::string no = unknown_protocol(inputs_.library, a.protocol); !no.empty()) wrong("--protocol", no);
  if (const auto fault = nothing_left_fault(inputs_)) wrong(a.among.empty() ? "--protocol" : "--among", fault->message);
}

AllreduceRow BareAllreduce::at(Bytes size) {
  const auto& allreduce = inputs_.run.allreduce;
  AllreduceRow row;
  row.elements = size.count() / element_bytes_;
  const CollectivePlan plan = plan_allreduce(
      inputs_.run, inputs_.cluster.node, machine_.context.node_gpus, row.elements, element_bytes_,
      [&](const CollectivePlan& p) { return costs_.of(p); }, &inputs_.library);
  row.bytes = plan.bytes();
  row.algorithm = word_of(plan.algorithm);
  row.channels = channels_of(plan, inputs_.library.nvls);
  if (by_library(inputs_)) row.estimates = library_estimates(inputs_.library, machine_.context.view, plan.bytes());
  row.chosen = library_choice(row.estimates, plan.algorithm, plan.protocol);
  const sim::CollectiveTime t = sim::simulate_collective(machine_, plan, allreduce.protocol, stagger_);
  row.protocol = t.protocol;
  row.time = t.time;
  row.messages = t.messages;
  row.algbw = row.busbw = Bandwidth::bytes_per_second(0);
  if (t.time > Time::zero()) {
    row.algbw = plan.bytes() / t.time;
    row.busbw = allreduce_busbw(plan.bytes(), plan.grid.size(), t.time);
  }
  return row;
}

Inputs read_collective(const AllreduceRequest& request, const DataPaths& paths) {
  Inputs inputs;
  inputs.cluster = read_cluster(request.cluster, paths);
  inputs.library = read_library(request.library, paths);
  if (!inputs.cluster.node.gpu.empty()) inputs.gpu = read_gpu(inputs.cluster.node.gpu, paths);
  inputs.run.cluster.gpus = request.gpus > 0 ? request.gpus : inputs.cluster.total_gpus();
  if (request.gpus < 0 || inputs.run.cluster.gpus > inputs.cluster.total_gpus()) {
    wrong("--gpus", fmt::format("{}: expected 1 to {}, the GPUs of {}", request.gpus, inputs.cluster.total_gpus(),
                                inputs.cluster.name));
  }
  auto& allreduce = inputs.run.allreduce;
  allreduce.algorithm = value_of_key<AllreduceAlgorithm>("allreduce.algorithm", request.algorithm, "--algorithm");
  allreduce.across = value_of_key<AllreduceAlgorithm>("allreduce.across", request.across, "--across");
  allreduce.protocol = request.protocol;
  allreduce.among = request.among;
  if (std::vector<Fault> faults = among_faults(allreduce); !faults.empty()) {
    for (Fault& f : faults) f = {"--among", "", std::move(f.message)};
    throw ConfigError(std::move(faults));
  }
  allreduce.gpudirect = request.gpudirect;
  if (request.channels < 0) wrong("--channels", fmt::format("{}: expected 0 (all) or more", request.channels));
  allreduce.channels = request.channels;
  inputs.run.cluster.placement = value_of_key<Placement>("cluster.placement", request.placement, "--placement");
  if (!request.launch.empty()) inputs.library.launch = Sourced<Time>(time_of(request.launch, "--launch"));
  return inputs;
}

BareAllreduce bare_allreduce(const AllreduceRequest& request, const DataPaths& paths) {
  constexpr int kSizes[] = {1, 2, 4, 8};
  if (std::find(std::begin(kSizes), std::end(kSizes), request.element_bytes) == std::end(kSizes))
    wrong("--element-bytes", fmt::format("{}: expected 1, 2, 4 or 8", request.element_bytes));
  return BareAllreduce(read_collective(request, paths), request.element_bytes, time_of(request.stagger, "--stagger"));
}

std::vector<Bytes> sizes_of(const std::string& text) {
  std::vector<Bytes> sizes;
  if (const auto colon = text.find(':'); colon != std::string::npos) {
    const Bytes first = size_of(text.substr(0, colon)), last = size_of(text.substr(colon + 1));
    if (first <= Bytes(0) || last < first)
      wrong("--sizes", "\"" + text + "\": expected a positive first size that is not larger than the last");
    const auto doublings =
        static_cast<int>(std::bit_width(static_cast<std::uint64_t>(last.count() / first.count()))) - 1;
    for (int i = 0; i <= doublings; ++i) sizes.push_back(first * (std::int64_t{1} << i));
    return sizes;
  }
  for (std::size_t at = 0; at <= text.size();) {
    const auto comma = std::min(text.find(',', at), text.size());
    sizes.push_back(size_of(text.substr(at, comma - at)));
    at = comma + 1;
  }
  return sizes;
}

std::string own_channels_note(const Inputs& inputs) {
  const AllreduceAlgorithm algorithm = inputs.run.allreduce.algorithm;
  if (inputs.library.tuning.rule == TuningRule::None) return "";
  const bool ring = algorithm == AllreduceAlgorithm::Ring;
  if (!ring && algorithm != AllreduceAlgorithm::Tree && algorithm != AllreduceAlgorithm::NodeTree) return "";
  return fmt::format(
      "# note: {0} by lockstep's own channels and protocols; for the library's (NCCL_ALGO={1}) say --algorithm library "
      "--among {1}\n",
      word_of(algorithm), ring ? "ring" : "tree");
}

std::string table_header(const Inputs& inputs, int element_bytes) {
  return fmt::format("# allreduce on {} GPUs of {} with {}, {} bytes per element (out of place, launch included)\n",
                     inputs.run.cluster.gpus, inputs.cluster.name, inputs.library.name, element_bytes) +
         fmt::format("# {:>12} {:>12}  {:<17} {:<9} {:>8} {:>11} {:>9} {:>9} {:>11}{}\n", "size (B)", "count",
                     "algorithm", "protocol", "channels", "time (us)", "algbw", "busbw", "messages",
                     by_library(inputs) ? "  the library's own estimates, which decide" : "");
}

std::string to_text(const AllreduceRow& row, const LibrarySpec& library, int others) {
  return fmt::format("  {:>12} {:>12}  {:<17} {:<9} {:>8} {:>11.2f} {:>9.2f} {:>9.2f} {:>11}{}\n", row.bytes.count(),
                     row.elements, row.algorithm, row.protocol, row.channels, row.time.microseconds(),
                     row.algbw.gigabytes_per_second(), row.busbw.gigabytes_per_second(), row.messages,
                     row.estimates.empty() ? "" : "  " + to_text(library, row.estimates, row.chosen, others));
}

std::string to_json(const std::vector<AllreduceRow>& rows, const LibrarySpec& library) {
  nlohmann::ordered_json out = nlohmann::ordered_json::array();
  for (const AllreduceRow& row : rows) {
    out.push_back({{"bytes", row.bytes.count()},
                   {"elements", row.elements},
                   {"algorithm", row.algorithm},
                   {"protocol", row.protocol},
                   {"channels", row.channels},
                   {"time_us", row.time.microseconds()},
                   {"algbw_GBps", row.algbw.gigabytes_per_second()},
                   {"busbw_GBps", row.busbw.gigabytes_per_second()},
                   {"messages", row.messages}});
    for (const LibraryEstimate& e : row.estimates) {
      out.back()["estimates"].push_back({{"algorithm", word_of(e.algorithm)},
                                         {"protocol", library.protocols[static_cast<std::size_t>(e.protocol)].name},
                                         {"allowed", e.allowed},
                                         {"reason", e.reason},
                                         {"latency_us", e.latency.microseconds()},
                                         {"algbw_GBps", e.bandwidth.gigabytes_per_second()},
                                         {"time_us", e.time.microseconds()}});
    }
  }
  return out.dump(2) + "\n";
}

}  // namespace lockstep
