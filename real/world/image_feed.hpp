// The images of the steps to come, made ready ahead.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "core/base/ids.hpp"
#include "core/run/world.hpp"
#include "core/spec/run_spec.hpp"
#include "real/data/loader.hpp"

namespace lockstep {

/// How this run's images are made ready for a device that takes them in this form.
LoaderOptions loader_options(const RunSpec& run, const Shape& input, ImageForm form);

/// The training images of one rank, micro-batch by micro-batch: the program, the step's arguments and the seed say which.
class ImageFeed {
 public:
  /// `run` and `set` outlive the feed. `input`: shape of the network's input.
  ImageFeed(const RunSpec& run, const Dataset& set, const Shape& input, ImageForm form, Rank rank);

  /// Which steps come now, and which probably after them. Forgets what was made ready for others (after a resume or an early stop).
  void plan(const StepProgram& program, std::span<const StepArgs> steps, std::span<const StepArgs> later);
  /// The next micro-batch, which must be micro-step `micro` of the step; may be empty. Waits for it. Throws ConfigError for a broken image.
  Batch next(const StepProgram& program, const StepArgs& args, int micro);
  /// Its position among all images of the run: of the first image.
  std::int64_t position(const StepProgram& program, const StepArgs& args, int micro) const;
  void recycle(Batch batch);
  const Loader& loader() const { return *loader_; }

 private:
  struct MicroBatch {
    std::int64_t id = 0, epoch = 0;
    bool augment = true;
    Span positions;  ///< in the epoch's order
    bool operator==(const MicroBatch&) const = default;
  };
  MicroBatch micro_batch(const StepProgram& program, const StepArgs& args, int micro) const;
  void ask_ahead();

  const RunSpec& run_;
  const Dataset& set_;
  Shape input_;
  ImageForm form_;
  Rank rank_;
  std::unique_ptr<Loader> loader_;
  std::deque<MicroBatch> planned_, asked_;
  std::vector<std::int32_t> order_;
  std::int64_t order_epoch_ = -1;
};

}  // namespace lockstep
