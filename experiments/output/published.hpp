// Published figures that predictions are laid beside.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace lockstep {

/// One published figure about one run: a row of data/published/figures.csv.
struct PublishedFigure {
  std::string run;       ///< name that a run file carries in output.published
  std::string quantity;  ///< step_ms, images_per_s, efficiency, time_to_train_s, top1_percent
  int gpus = 0;
  double value = 0;
  std::string source;
  std::string confidence;  ///< read, secondary, memory
  std::string note;
};

/// The rows of `run`; none for an empty name. Throws ConfigError if the table is missing or broken, or has no row of that name.
std::vector<PublishedFigure> read_figures(const std::filesystem::path& data, const std::string& run);

}  // namespace lockstep
