#include <cstdio>

#include <fmt/format.h>

#include "experiments/cli/command.hpp"
#include "experiments/output/report.hpp"
#include "experiments/validation/validation.hpp"

namespace lockstep::cli {

namespace {

struct Options {
  std::string only, output;
  bool json = false, interval = false;
};

int validate_all(const Context& context, const Options& options) {
  const auto rows = rows_named(read_validation(context.data), options.only);
  const auto results = validate_rows(rows, context.data, context.data.parent_path() / "experiments", options.interval,
                                     usable_threads(), progress_line(context));
  if (results.empty()) return kInterrupted;
  if (!options.output.empty()) write_file(options.output, to_csv(results));
  std::fputs((options.json ? to_json(results) : to_text(results)).c_str(), stdout);
  for (const auto& r : results) {
    if (r.row.counted && !r.inside()) return kCheckFailed;
  }
  return kDone;
}

}  // namespace

CLI::App* add_validate(CLI::App& app, const Context& context, Run& run) {
  auto options = std::make_shared<Options>();
  CLI::App* command =
      app.add_subcommand("validate", "Predicted against published, with the error of every row; exit 1 outside a band");
  command->add_option("--only", options->only, "Only the rows whose id begins so");
  command->add_option("--output", options->output, "Also write the table as CSV");
  command->add_flag("--interval", options->interval, "Also compute prediction intervals (slower)");
  command->add_flag("--json", options->json, "Print JSON");
  command->footer(
      "Examples:\n  lockstep validate\n  lockstep validate --only dgx1 --interval\n  lockstep validate --output "
      "results/validation.csv");
  command->callback(
      [&context, options, &run] { run = [&context, options] { return validate_all(context, *options); }; });
  return command;
}

}  // namespace lockstep::cli
