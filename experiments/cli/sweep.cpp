// `lockstep sweep`: thousands of what-ifs.
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <optional>

#include <fmt/format.h>

#include "core/base/digest.hpp"
#include "core/base/error.hpp"
#include "experiments/cli/command.hpp"
#include "experiments/cli/job.hpp"
#include "experiments/cli/sweep_page.hpp"
#include "experiments/output/report.hpp"
#include "experiments/parallel.hpp"
#include "experiments/sweep/runner.hpp"
#include "experiments/training/training.hpp"
#include "real/comm/mpi/mpi_transport.hpp"

namespace lockstep::cli {

namespace {

namespace fs = std::filesystem;

struct Options {
  RunOptions run;
  std::vector<std::string> overs;
  std::string per_gpu_batch, output;
  bool zip = false, dry_run = false, force = false, resume = false, efficiency = false, json = false;
  std::size_t jobs = 0;
};

/// One process of the sweep; alone, or one of a job.
class Sweep {
 public:
  Sweep(const Context& context, const Options& options) : context_(context), options_(options) {
    const auto environment = [](const char* name) { return std::getenv(name); };
    transport_ = launched_as_job(environment) ? mpi_transport() : solo_transport();
    if (!first()) context_.quiet = true;
    request_ = {options.run.file, options.run.sets, options.overs, options.per_gpu_batch, options.zip, {context.data}};
  }

  int run() {
    const auto begin = std::chrono::steady_clock::now();
    if (!plan()) {
      if (first()) fmt::print(stderr, "interrupted: nothing written\n");
      return kInterrupted;
    }
    if (options_.dry_run) return dry_run();
    const auto columns = sweep_columns(plan_.axes, options_.efficiency);
    const std::vector<std::size_t> todo = claim(columns);
    SweepJob job;
    job.rank = transport_->rank();
    job.size = transport_->size();
    job.exchange = [this](const std::string& mine) { return transport_->gather(mine); };
    job.efficiency = options_.efficiency;
    const auto here = static_cast<std::size_t>(node_place(*transport_, job.rank).local_size);
    const auto host = static_cast<std::size_t>(std::max(1L, sysconf(_SC_NPROCESSORS_ONLN)));
    // What the launcher bound this process to, but no more than its share of the host.
    job.threads = options_.jobs > 0 ? options_.jobs : std::min(usable_threads(), std::max<std::size_t>(1, host / here));
    std::size_t failures = 0;
    job.finished = [&](const SweepRow& row) {
      failures += failed(row) ? 1 : 0;
      if (!results_) return;
      results_->append(row);
      if (!options_.json) return;
      std::fputs(json_line(columns, row).c_str(), stdout);
      std::fflush(stdout);
    };
    const std::size_t kept = plan_.points.size() - todo.size();
    {
      const Progress line = progress_line(context_);
      job.progress = [&](double fraction, std::size_t done) {
        const std::string failed_so_far = failures > 0 ? fmt::format(", {} failed", failures) : "";
        return line(fraction, fmt::format("{} of {} points{}", kept + done, plan_.points.size(), failed_so_far));
      };
      const bool whole = run_sweep(request_, plan_, todo, job);
      if (!first()) return whole ? kDone : kInterrupted;
    }
    results_->finish();
    const SweepPage page{plan_,
                         columns,
                         results_->rows(),
                         directory_,
                         std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count(),
                         kept};
    if (!options_.json) std::fputs(page.text().c_str(), stdout);
    std::fputs(page.failures().c_str(), stderr);
    if (results_->rows().size() < plan_.points.size()) {
      fmt::print(stderr, "interrupted after {} of {} points, which are kept; go on with --resume\n",
                 results_->rows().size(), plan_.points.size());
      return kInterrupted;
    }
    return failures > 0 ? kCheckFailed : kDone;
  }

 private:
  bool first() const { return transport_->rank() == 0; }

  /// Runs `work` on every process and gives each the texts of all. If it throws ConfigError anywhere, all processes
  /// end: rank 0 with the message.
  template <class Work>
  std::vector<std::string> agree(Work&& work) {
    std::string mine;
    try {
      mine = "+" + work();
    } catch (const ConfigError& e) {
      mine = "-" + std::string(e.what());
      if (transport_->gather(mine); first()) throw;
      throw ReportedByRank0{};
    }
    auto texts = transport_->gather(mine);
    for (std::size_t r = 0; r < texts.size(); ++r) {
      if (texts[r][0] == '-' && !first()) throw ReportedByRank0{};
      if (texts[r][0] == '-') throw ConfigError(fmt::format("rank {}", r), "", texts[r].substr(1));
      texts[r].erase(0, 1);
    }
    return texts;
  }

  /// False after Ctrl-C.
  bool plan() {
    const auto digests = agree([&] {
      const Progress line = progress_line(context_);
      plan_ = plan_sweep(request_, [&](std::size_t done, std::size_t count) {
        return line(static_cast<double>(done) / static_cast<double>(count), fmt::format("reading {} points", count));
      });
      Digest digest;
      for (const auto& point : plan_.points) digest.add(point.digest);
      return plan_.points.empty() ? "" : digest.text();
    });
    for (std::size_t r = 0; r < digests.size(); ++r) {
      if (digests[r].empty()) return false;
    }
    for (std::size_t r = 0; r < digests.size(); ++r) {
      if (digests[r] == digests[0]) continue;
      throw BackendError(fmt::format("rank {} on {} reads other files, or is another program, than rank 0 on {}", r,
                                     transport_->host(static_cast<int>(r)), transport_->host(0)));
    }
    return true;
  }

  int dry_run() const {
    if (!first()) return kDone;
    std::fputs((options_.json ? dry_json(plan_) : dry_text(plan_)).c_str(), stdout);
    for (const auto& point : plan_.points) {
      if (!point.faults.empty()) return kCheckFailed;
    }
    return kDone;
  }

  /// Takes the result directory (rank 0) and says which points are still to be done (all ranks).
  std::vector<std::size_t> claim(const std::vector<std::string>& columns) {
    directory_ =
        options_.output.empty()
            ? fs::path("results") / (fs::absolute(options_.run.file).parent_path().filename().string() + "_sweep")
            : fs::path(options_.output);
    const std::string kept = agree([&]() -> std::string {
      if (!first()) return "";
      const fs::path file = directory_ / "results.csv";
      std::vector<SweepRow> rows;
      if (options_.resume) rows = finished_rows(file, plan_, options_.efficiency);
      if (!options_.resume && !options_.force && fs::exists(file)) {
        throw ConfigError(
            directory_.string(), "",
            "holds a sweep already; go on with --resume, overwrite it with --force, or name another --output");
      }
      claim_directory(directory_, options_.force || options_.resume);
      write_file(directory_ / "sweep.json", description(request_, plan_, options_.efficiency));
      results_.emplace(file, columns, rows);
      std::string done(plan_.points.size(), '0');
      for (const auto& row : rows) done[index_of(row)] = '1';
      return done;
    })[0];
    std::vector<std::size_t> todo;
    for (std::size_t i = 0; i < kept.size(); ++i) {
      if (kept[i] == '0') todo.push_back(i);
    }
    return todo;
  }

  Context context_;
  const Options& options_;
  std::unique_ptr<Transport> transport_;
  SweepRequest request_;
  SweepPlan plan_;
  fs::path directory_;
  std::optional<ResultsFile> results_;  // of rank 0
};

int sweep(const Context& context, const Options& options) {
  if (options.force && options.resume)
    throw ConfigError("--resume", "", "contradicts --force; expected one of the two");
  return on_this_rank([&] { return Sweep(context, options).run(); });
}

}  // namespace

CLI::App* add_sweep(CLI::App& app, const Context& context, Run& run) {
  auto options = std::make_shared<Options>();
  CLI::App* command = app.add_subcommand("sweep", "Predict many variants of a run, in parallel, into one CSV");
  add_run_options(*command, options->run);
  command->add_option("--over", options->overs, "Sweep one key: path=VALUES (below); may be repeated: all combinations")
      ->allow_extra_args(false);
  command->add_option("--per-gpu-batch", options->per_gpu_batch,
                      "Images per GPU and step, VALUES: training.global_batch follows cluster.gpus (weak scaling)");
  command->add_flag("--zip", options->zip, "Walk all keys together instead of all combinations");
  command->add_flag("--dry-run", options->dry_run,
                    "List the points and what is wrong with them; run and write nothing");
  command->add_flag("--efficiency", options->efficiency, "Also the efficiency against one GPU (simulates that too)");
  command->add_option("--output", options->output, "Result directory (default: results/NAME_sweep)");
  command->add_flag("--force", options->force, "Overwrite the files of a filled result directory");
  command->add_flag("--resume", options->resume, "Keep the finished points of the result directory and do the others");
  command->add_option("--jobs,-j", options->jobs, "Points at a time in this process (default: its cores)")
      ->check(CLI::Range(1, 4096));
  command->add_flag("--json", options->json, "One JSON object per line as points finish, instead of the page");
  command->footer(
      "VALUES, separated by commas (those inside quotes or brackets belong to a value):\n"
      "  1024,2048           these\n"
      "  4:64:4              from 4 to at most 64 in steps of 4\n"
      "  4..2048             doubling; 4..2048x4: times 4\n"
      "  0.5:2:log5          5 values at equal ratios, both ends included\n"
      "  1MiB..64MiB         one unit at both ends\n"
      "Examples:\n"
      "  lockstep sweep RUN.toml --over cluster.gpus=4..2048 --per-gpu-batch 40 --efficiency\n"
      "  lockstep sweep RUN.toml --over allreduce.algorithm=ring,tree --over buckets.size=1MiB..64MiB --output "
      "results/buckets\n"
      "  lockstep sweep RUN.toml --zip --over cluster.gpus=8,16 --over training.global_batch=2048,4096 --dry-run\n"
      "  lockstep sweep RUN.toml --over 'simulation.slow_ranks=[],[{rank=0,factor=1.3}]' --json | jq .step_ms\n"
      "  mpirun -n 4 lockstep sweep RUN.toml --over training.seed=1:1000:1 --resume   (srun needs --mpi=pmix)\n"
      "results.csv grows as points finish and is sorted at the end; the same for any number of threads and processes.\n"
      "A point that fails is a row with its error (exit 1 at the end). Ctrl-C keeps what is finished.");
  command->callback([&context, options, &run] { run = [&context, options] { return sweep(context, *options); }; });
  return command;
}

}  // namespace lockstep::cli
