#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "core/base/error.hpp"
#include "core/base/units_text.hpp"
#include "core/plan/alpha_beta.hpp"
#include "core/plan/planner.hpp"
#include "experiments/cli/command.hpp"
#include "experiments/config_io/config_io.hpp"
#include "experiments/config_io/words.hpp"
#include "sim/network/estimate.hpp"

namespace lockstep::cli {

namespace {

struct Options {
  std::string cluster, library = "nccl-2.8", algorithm = "auto", across = "auto", protocol = "auto", sizes = "8:128MiB",
                       placement = "packed";
  int gpus = 0, element_bytes = 4, channels = 0;
  bool gpudirect = false, json = false;
  std::string stagger = "0us", launch;
  int others = 2;
};

[[noreturn]] void wrong(const std::string& flag, const std::string& message) { throw ConfigError(flag, "", message); }

Bytes size_of(const std::string& text) {
  try {
    if (text.find_first_not_of("0123456789") == std::string::npos && !text.empty()) return Bytes(std::stoll(text));
    return parse_bytes(text);
  } catch (const std::exception&) {
    wrong("--sizes", "\"" + text + "\" is not a size; write for example 8:1GiB (doubling) or 4MiB,25MiB");
  }
}

/// "8:1GiB" doubles from the first to the last; "4MiB,25MiB" is a list.
std::vector<Bytes> sizes_of(const std::string& text) {
  std::vector<Bytes> sizes;
  if (const auto colon = text.find(':'); colon != std::string::npos) {
    const Bytes first = size_of(text.substr(0, colon)), last = size_of(text.substr(colon + 1));
    if (first <= Bytes(0) || last < first)
      wrong("--sizes", "\"" + text + "\": expected a positive first size that is not larger than the last");
    for (Bytes s = first; s <= last; s = s * 2) sizes.push_back(s);
    return sizes;
  }
  for (std::size_t at = 0; at <= text.size();) {
    const auto comma = std::min(text.find(',', at), text.size());
    sizes.push_back(size_of(text.substr(at, comma - at)));
    at = comma + 1;
  }
  return sizes;
}

AllreduceAlgorithm algorithm_of(const std::string& word, const std::string& flag) {
  const auto value = value_of<AllreduceAlgorithm>(word);
  if (!value) wrong(flag, unknown_word(word, all_words<AllreduceAlgorithm>()));
  return *value;
}

/// Channels of the widest phase, copies that the library opens included.
int channels_of(const CollectivePlan& plan, const TuningSpec& tuning) {
  int channels = 1;
  for (const Phase& phase : plan.phases) channels = std::max(channels, phase.orders.channels());
  return channels * tuning.copies <= tuning.most_channels ? channels * tuning.copies : channels;
}

int collective(const Context& context, const Options& options) {
  Inputs inputs;
  const DataPaths paths{context.data};
  inputs.cluster = read_cluster(options.cluster, paths);
  inputs.library = read_library(options.library, paths);
  if (!inputs.cluster.node.gpu.empty()) inputs.gpu = read_gpu(inputs.cluster.node.gpu, paths);
  inputs.run.cluster.gpus = options.gpus > 0 ? options.gpus : inputs.cluster.total_gpus();
  if (options.gpus < 0 || inputs.run.cluster.gpus > inputs.cluster.total_gpus()) {
    wrong("--gpus", fmt::format("{}: expected 1 to {}, the GPUs of {}", options.gpus, inputs.cluster.total_gpus(),
                                inputs.cluster.name));
  }
  if (options.element_bytes < 1) wrong("--element-bytes", "expected 1, 2, 4 or 8");
  auto& allreduce = inputs.run.allreduce;
  allreduce.algorithm = algorithm_of(options.algorithm, "--algorithm");
  allreduce.across = algorithm_of(options.across, "--across");
  allreduce.protocol = options.protocol;
  allreduce.gpudirect = options.gpudirect;
  allreduce.channels = options.channels;
  inputs.run.cluster.placement = options.placement;
  const int world = inputs.run.cluster.gpus;
  const int node_gpus = gpus_per_node_used(inputs.run, inputs.cluster.node);
  const auto time_of = [](const std::string& flag, const std::string& text) {
    try {
      return parse_time(text);
    } catch (const std::invalid_argument& e) {
      wrong(flag, e.what());
    }
  };
  const Time stagger = time_of("--stagger", options.stagger);
  if (!options.launch.empty()) inputs.library.launch = Sourced<Time>(time_of("--launch", options.launch));
  const sim::WorldSettings settings{inputs.run, inputs.cluster, inputs.gpu, inputs.library, {}};
  const sim::EstimateContext estimate = sim::estimate_context(inputs.cluster, inputs.library, node_gpus, world,
                                                              options.gpudirect, inputs.gpu.compute_capability);
  const bool by_library = allreduce.algorithm == AllreduceAlgorithm::Library;

  const auto sizes = sizes_of(options.sizes);
  nlohmann::ordered_json rows = nlohmann::ordered_json::array();
  if (!options.json) {
    fmt::print("# allreduce on {} GPUs of {} with {}, {} bytes per element (out of place, launch included)\n", world,
               inputs.cluster.name, inputs.library.name, options.element_bytes);
    fmt::print("# {:>12} {:>12}  {:<17} {:<9} {:>8} {:>11} {:>9} {:>9} {:>11}{}\n", "size (B)", "count", "algorithm",
               "protocol", "channels", "time (us)", "algbw", "busbw", "messages",
               by_library ? "  the library's own estimates, which decide" : "");
  }
  const Progress progress = progress_line(context);
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    if (!progress(static_cast<double>(i) / static_cast<double>(sizes.size()), to_text(sizes[i]))) return kInterrupted;
    const std::int64_t elements = sizes[i].count() / options.element_bytes;
    const CollectivePlan plan = plan_allreduce(
        inputs.run, inputs.cluster.node, node_gpus, elements, options.element_bytes,
        [&](const CollectivePlan& p) {
          return sim::estimate(p, estimate, sim::choose_protocol(p, estimate, options.protocol));
        },
        &inputs.library);
    const auto estimates =
        by_library ? library_estimates(inputs.library, estimate.view, plan.bytes()) : std::vector<LibraryEstimate>{};
    const int chosen = library_choice(estimates, plan.algorithm, plan.protocol);
    const int channels = channels_of(plan, by_library ? inputs.library.tuning : TuningSpec{});
    const sim::CollectiveTime t = sim::simulate_collective(settings, plan, stagger);
    const Bandwidth algbw = t.time > Time::zero() ? plan.bytes() / t.time : Bandwidth::bytes_per_second(0);
    const Bandwidth busbw =
        t.time > Time::zero() ? allreduce_busbw(plan.bytes(), world, t.time) : Bandwidth::bytes_per_second(0);
    std::string name = to_text(plan.algorithm);
    if (options.json) {
      rows.push_back({{"bytes", plan.bytes().count()},
                      {"elements", elements},
                      {"algorithm", name},
                      {"protocol", t.protocol},
                      {"channels", channels},
                      {"time_us", t.time.microseconds()},
                      {"algbw_GBps", algbw.gigabytes_per_second()},
                      {"busbw_GBps", busbw.gigabytes_per_second()},
                      {"messages", t.messages}});
      for (const LibraryEstimate& e : estimates) {
        const std::string& protocol = inputs.library.protocols[static_cast<std::size_t>(e.protocol)].name;
        rows.back()["estimates"].push_back({{"algorithm", to_text(e.algorithm)},
                                            {"protocol", protocol},
                                            {"allowed", e.allowed},
                                            {"reason", e.reason},
                                            {"latency_us", e.latency.microseconds()},
                                            {"algbw_GBps", e.bandwidth.gigabytes_per_second()},
                                            {"time_us", e.time.microseconds()}});
      }
    } else {
      fmt::print("  {:>12} {:>12}  {:<17} {:<9} {:>8} {:>11.2f} {:>9.2f} {:>9.2f} {:>11}{}\n", plan.bytes().count(),
                 elements, name, t.protocol, channels, t.time.microseconds(), algbw.gigabytes_per_second(),
                 busbw.gigabytes_per_second(), t.messages,
                 by_library ? "  " + to_text(inputs.library, estimates, chosen, options.others) : "");
    }
  }
  if (options.json) fmt::print("{}\n", rows.dump(2));
  return kDone;
}

}  // namespace

CLI::App* add_collective(CLI::App& app, const Context& context, Run& run) {
  auto o = std::make_shared<Options>();
  CLI::App* command =
      app.add_subcommand("collective", "A bare allreduce on a cluster by size, printed as nccl-tests does");
  command->add_option("cluster", o->cluster, "Cluster file, or the name of one in data/clusters")->required();
  command->add_option("--gpus", o->gpus, "World size (default: the whole cluster)");
  command->add_option("--sizes", o->sizes, "FIRST:LAST doubling, or a list A,B,C")->capture_default_str();
  command
      ->add_option("--algorithm", o->algorithm,
                   "auto, ring, halving_doubling, tree, torus, hierarchical, three_phase; library: as the library "
                   "itself chooses, with its reasons")
      ->capture_default_str();
  command
      ->add_option("--across", o->across,
                   "Between nodes, for torus, hierarchical and three_phase: auto, ring, halving_doubling, tree")
      ->capture_default_str();
  command->add_option("--library", o->library, "Library file, or the name of one in data/libraries")
      ->capture_default_str();
  command->add_option("--protocol", o->protocol, "auto, or a protocol of the library")->capture_default_str();
  command->add_option("--placement", o->placement, "packed, spread or random")->capture_default_str();
  command->add_option("--channels", o->channels, "Rings inside a node (default: as many as the topology gives)");
  command
      ->add_option("--stagger", o->stagger,
                   "Launch on the GPUs of a node one after the other, this far apart (one process: 3.8us)")
      ->capture_default_str();
  command->add_option("--launch", o->launch,
                      "From the call to the first message (default: the library's; queued behind others: 3.8us)");
  command->add_option("--others", o->others, "With --algorithm library: how many rejected candidates to print")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  command->add_option("--element-bytes", o->element_bytes, "Bytes per element")->capture_default_str();
  command->add_flag("--gpudirect", o->gpudirect, "The NIC reaches GPU memory across the host bridge");
  command->add_flag("--json", o->json, "Print JSON");
  command->footer(
      "Examples:\n  lockstep collective dgx1-v100 --sizes 8:128MiB\n"
      "  lockstep collective dgx1-v100 --gpus 16 --algorithm library --library nccl-2.8\n"
      "  lockstep collective abci --gpus 2048 --sizes 1MiB,25MiB --algorithm hierarchical --across tree --library "
      "nccl-2.4");
  command->callback([&context, o, &run] { run = [&context, o] { return collective(context, *o); }; });
  return command;
}

}  // namespace lockstep::cli
