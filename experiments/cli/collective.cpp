#include <cstdio>

#include <fmt/format.h>

#include "core/base/units_text.hpp"
#include "experiments/cli/command.hpp"
#include "experiments/config_io/choices.hpp"
#include "experiments/queries/collective.hpp"

namespace lockstep::cli {

namespace {

struct Options {
  AllreduceRequest request;
  bool json = false;
  int others = 2;
};

int collective(const Context& context, const Options& options) {
  leave_when_interrupted();
  BareAllreduce allreduce = bare_allreduce(options.request, {context.data});
  const LibrarySpec& library = allreduce.inputs().library;
  const auto sizes = sizes_of(options.request.sizes);
  const auto print = [&](const std::string& text) {
    if (!options.json) std::fputs(text.c_str(), stdout);
    std::fflush(stdout);
  };
  if (!context.quiet) print(own_channels_note(allreduce.inputs()));
  print(table_header(allreduce.inputs(), options.request.element_bytes));
  std::vector<AllreduceRow> rows;
  const Progress progress = progress_line(context);
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    progress(static_cast<double>(i) / static_cast<double>(sizes.size()), to_text(sizes[i]));
    rows.push_back(allreduce.at(sizes[i]));
    print(to_text(rows.back(), library, options.others));
  }
  if (options.json) std::fputs(to_json(rows, library).c_str(), stdout);
  return kDone;
}

/// "packed, spread, random"
std::string one_of(const std::string& key) { return fmt::format("{}", fmt::join(words_of_key(key), ", ")); }

}  // namespace

CLI::App* add_collective(CLI::App& app, const Context& context, Run& run) {
  auto o = std::make_shared<Options>();
  AllreduceRequest& r = o->request;
  CLI::App* command =
      app.add_subcommand("collective", "A bare allreduce on a cluster by size, printed as nccl-tests does");
  command->add_option("cluster", r.cluster, "Cluster file, or the name of one in data/clusters")->required();
  command->add_option("--gpus", r.gpus, "World size (default: the whole cluster)")->check(CLI::Range(1, 1000000));
  command->add_option("--sizes", r.sizes, "FIRST:LAST doubling, or a list A,B,C")->capture_default_str();
  command
      ->add_option("--algorithm", r.algorithm,
                   one_of("allreduce.algorithm") + ": as the library itself chooses, with its reasons")
      ->capture_default_str();
  command
      ->add_option("--among", r.among,
                   "With --algorithm library: what it may choose of ring, tree, nvls, as NCCL_ALGO restricts it; "
                   "NCCL_PROTO is --protocol")
      ->delimiter(',')
      ->allow_extra_args(false);
  command
      ->add_option("--across", r.across,
                   "Between nodes, for torus, hierarchical and three_phase: " + one_of("allreduce.across"))
      ->capture_default_str();
  command->add_option("--library", r.library, "Library file, or the name of one in data/libraries")
      ->capture_default_str();
  command->add_option("--protocol", r.protocol, "auto, or a protocol of the library")->capture_default_str();
  command->add_option("--placement", r.placement, one_of("cluster.placement"))->capture_default_str();
  command->add_option("--channels", r.channels,
                      "Rings inside a node (default: as many as the topology gives); NVLS takes no notice");
  command
      ->add_option("--stagger", r.stagger,
                   "Launch on the GPUs of a node one after the other, this far apart (one process: 3.8us)")
      ->capture_default_str();
  command->add_option("--launch", r.launch,
                      "From the call to the first message (default: the library's; queued behind others: 3.8us)");
  command->add_option("--others", o->others, "With --algorithm library: how many rejected candidates to print")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  command->add_option("--element-bytes", r.element_bytes, "Bytes per element")->capture_default_str();
  command->add_flag("--gpudirect", r.gpudirect, "The NIC reaches GPU memory across the host bridge");
  command->add_flag("--json", o->json, "Print JSON");
  command->footer(
      "Examples:\n  lockstep collective dgx1-v100 --sizes 8:128MiB\n"
      "  lockstep collective dgx1-v100 --gpus 16 --algorithm library --library nccl-2.8\n"
      "  lockstep collective dgx-a100 --gpus 16 --sizes 1MiB,1GiB --algorithm library --among ring\n"
      "  lockstep collective abci --gpus 2048 --sizes 1MiB,25MiB --algorithm hierarchical --across tree --library "
      "nccl-2.4");
  command->callback([&context, o, &run] { run = [&context, o] { return collective(context, *o); }; });
  return command;
}

}  // namespace lockstep::cli
