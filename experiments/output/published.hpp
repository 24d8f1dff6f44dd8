// Published figures that predictions are laid beside.
#pragma once

#include <string>

namespace lockstep {

/// One published figure about one run: from data/published/figures.csv.
struct PublishedFigure {
  std::string run;          ///< name that a run file carries in output.published
  std::string quantity;     ///< step_ms, images_per_s, efficiency, time_to_train_s, epoch_s, top1_percent
  double value = 0;
  std::string source;
  std::string confidence;   ///< read, secondary, memory
  std::string note;
};

}  // namespace lockstep
