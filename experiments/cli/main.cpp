// The program: parse, call, print. Every error ends in one message and an exit code.
#include <cstdio>
#include <cstdlib>

#include <fmt/format.h>

#include "core/base/error.hpp"
#include "experiments/cli/command.hpp"
#include "experiments/output/report.hpp"

namespace lockstep::cli {

namespace {

namespace fs = std::filesystem;

/// --data, else LOCKSTEP_DATA, else data/ beside the build folder of this program, else data/ here.
fs::path default_data(const char* program) {
  if (const char* set = std::getenv("LOCKSTEP_DATA")) return set;
  std::error_code ec;
  fs::path self = fs::read_symlink("/proc/self/exe", ec);
  if (ec) self = fs::absolute(program, ec);
  for (const fs::path& candidate :
       {self.parent_path().parent_path() / "data", self.parent_path().parent_path() / "share" / "lockstep" / "data"}) {
    if (fs::is_directory(candidate / "clusters", ec)) return candidate;
  }
  return "data";
}

int program(int argc, char** argv) {
  Context context;
  context.data = default_data(argv[0]);

  CLI::App app{"Lockstep: large-batch distributed training, predicted and for real.", "lockstep"};
  app.set_version_flag("--version", fmt::format("{} (sources {})", version(), revision()));
  app.require_subcommand(1);
  app.fallthrough();
  app.add_option(
      "--data", context.data,
      "Directory with clusters/, gpus/, libraries/ and published/ (default: LOCKSTEP_DATA, or beside the program)");
  app.add_flag("--quiet", context.quiet, "No progress on stderr");
  app.footer(
      "Examples:\n"
      "  lockstep simulate experiments/fujitsu_abci_2048/run.toml --output results/abci\n"
      "  lockstep simulate experiments/fujitsu_abci_2048/run.toml --set cluster.gpus=1024 --set "
      "training.global_batch=40960\n"
      "  lockstep sweep experiments/fujitsu_abci_2048/run.toml --over cluster.gpus=4..2048 --per-gpu-batch 40\n"
      "  lockstep collective abci --gpus 2048 --sizes 1MiB:64MiB --algorithm hierarchical\n"
      "  lockstep train experiments/fashion_mnist/run.toml\n"
      "  lockstep accuracy --batch 32768,81920\n"
      "  lockstep validate\n"
      "Exit codes: 0 done, 1 a check failed, 2 the input is wrong, 3 the machine failed, 130 interrupted.");
  Run run;
  add_simulate(app, context, run);
  add_sweep(app, context, run);
  add_train(app, context, run);
  add_calibrate(app, context, run);
  add_compare(app, context, run);
  add_plan(app, context, run);
  add_collective(app, context, run);
  add_validate(app, context, run);
  add_accuracy(app, context, run);
  add_check(app, context, run);
  add_list(app, context, run);
  add_completion(app, context, run);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    const int code = app.exit(e);
    return code == 0 ? kDone : kInputWrong;
  }
  catch_interrupts();
  return run();
}

}  // namespace

}  // namespace lockstep::cli

int main(int argc, char** argv) {
  using namespace lockstep;
  using namespace lockstep::cli;
  try {
    return program(argc, argv);
  } catch (const ConfigError& e) {
    std::fprintf(stderr, "%s\n", e.what());
    return kInputWrong;
  } catch (const BackendError& e) {
    std::fprintf(stderr, "lockstep: %s\n", e.what());
  } catch (const InternalError& e) {
    std::fprintf(stderr, "lockstep: internal error, please report it: %s\n", e.what());
  } catch (const std::exception& e) {
    std::fprintf(stderr, "lockstep: %s\n", e.what());
  }
  return kMachineFailed;
}
