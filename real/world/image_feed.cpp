#include "real/world/image_feed.hpp"

#include <cmath>

#include "core/base/error.hpp"
#include "real/data/order.hpp"

namespace lockstep {

namespace {

constexpr std::int64_t kAhead = 3;  // micro-batches that are made ready ahead of the one in use

}  // namespace

LoaderOptions loader_options(const RunSpec& run, const Shape& input, ImageForm form) {
  LoaderOptions o;
  o.recipe = recipe_of(run.data.kind, run.data.augmentation);
  o.recipe.colours = {run.data.jitter, run.data.lighting};
  o.shape = input;
  o.form = form;
  o.seed = run.training.seed;
  o.threads = run.data.threads;
  o.on_broken = run.data.broken;
  return o;
}

ImageFeed::ImageFeed(const RunSpec& run, const Dataset& set, const Shape& input, ImageForm form, Rank rank)
    : run_(run),
      set_(set),
      input_(input),
      form_(form),
      rank_(rank),
      loader_(std::make_unique<Loader>(set, loader_options(run, input, form))) {}

ImageFeed::MicroBatch ImageFeed::micro_batch(const StepProgram& program, const StepArgs& args, int micro) const {
  const Span part = images_of_micro_step(program, args.images, rank_, micro);
  return {args.step * program.accumulation + micro,
          static_cast<std::int64_t>(std::floor(args.epoch + 1e-9)),
          args.augment,
          {args.first_sample + part.begin, part.length}};
}

void ImageFeed::plan(const StepProgram& program, std::span<const StepArgs> steps, std::span<const StepArgs> later) {
  std::deque<MicroBatch> needed;
  for (const auto& some : {steps, later}) {
    for (const StepArgs& args : some) {
      for (int m = 0; m < program.accumulation; ++m) needed.push_back(micro_batch(program, args, m));
    }
  }
  std::size_t kept = 0;
  while (kept < asked_.size() && kept < needed.size() && asked_[kept] == needed[kept]) ++kept;
  if (kept < asked_.size()) {
    loader_ = std::make_unique<Loader>(set_, loader_options(run_, input_, form_));
    asked_.clear();
    kept = 0;
  }
  needed.erase(needed.begin(), needed.begin() + static_cast<std::ptrdiff_t>(kept));
  planned_ = std::move(needed);
}

void ImageFeed::ask_ahead() {
  while (!planned_.empty() && loader_->outstanding() < kAhead + 1) {
    const MicroBatch m = planned_.front();
    planned_.pop_front();
    if (m.epoch != order_epoch_) {
      order_ = epoch_order(run_.training.seed, m.epoch, run_.data.training_images);
      order_epoch_ = m.epoch;
    }
    BatchRequest request{m.id, m.epoch, true, m.augment, {}};
    for (std::int64_t i = 0; i < m.positions.length; ++i)
      request.samples.push_back(order_[static_cast<std::size_t>(m.positions.begin + i)]);
    loader_->request(std::move(request));
    asked_.push_back(m);
  }
}

Batch ImageFeed::next(const StepProgram& program, const StepArgs& args, int micro) {
  ask_ahead();
  LOCKSTEP_EXPECTS(!asked_.empty() && asked_.front() == micro_batch(program, args, micro));
  asked_.pop_front();
  Batch batch = loader_->next();
  ask_ahead();
  return batch;
}

std::int64_t ImageFeed::position(const StepProgram& program, const StepArgs& args, int micro) const {
  return args.step * args.images + images_of_micro_step(program, args.images, rank_, micro).begin;
}

void ImageFeed::recycle(Batch batch) { loader_->recycle(std::move(batch)); }

}  // namespace lockstep
