// The fits of data/published, for as many runs as ask.
#pragma once

#include <filesystem>
#include <string>

#include "experiments/accuracy/accuracy_models.hpp"
#include "experiments/made_once.hpp"

namespace lockstep {

/// Published accuracies, read when this is made (ConfigError as read_published_accuracy), and each fit of them, made when it is first asked for (milliseconds)
/// and kept. Safe to use from several threads.
class FittedModels {
 public:
  explicit FittedModels(const std::filesystem::path& data) : published_(read_published_accuracy(data)) {}

  /// One of accuracy_model_names(), without the errors of forms that do not predict. Lasts as long as this. ConfigError as fit_published.
  const AccuracyModel& of(const std::string& name) const {
    return models_.of(name, [&] { return fit_published(name, published_, false); });
  }

 private:
  PublishedAccuracy published_;
  mutable MadeOnce<AccuracyModel> models_;
};

}  // namespace lockstep
