// Smaller images by averaging whole pixels.
#include <utility>

#include <fmt/format.h>

#include "core/base/error.hpp"
#include "real/data/dataset.hpp"

namespace lockstep {

namespace {

class Shrunk final : public Dataset {
 public:
  Shrunk(std::unique_ptr<Dataset> set, int side) : set_(std::move(set)), side_(side) {}

  std::int64_t size() const override { return set_->size(); }
  int classes() const override { return set_->classes(); }
  std::string description() const override {
    return fmt::format("{}, averaged over {} x {} pixels", set_->description(), side_, side_);
  }
  void read(std::int64_t index, const WantedOf&, Image& out) const override {
    thread_local Image stored;
    set_->read(index, {}, stored);
    LOCKSTEP_EXPECTS(stored.view.stored_h == 0);
    out.c = stored.c;
    out.h = stored.h / side_;
    out.w = stored.w / side_;
    out.view = {};
    out.label = stored.label;
    if (out.h == 0 || out.w == 0)
      throw ConfigError("run file", "data.shrink",
                        fmt::format("images of {} x {} hold no square of {} pixels", stored.h, stored.w, side_));
    const auto c = static_cast<std::size_t>(out.c), w = static_cast<std::size_t>(out.w),
               h = static_cast<std::size_t>(out.h), row = static_cast<std::size_t>(stored.w) * c,
               side = static_cast<std::size_t>(side_);
    const unsigned area = static_cast<unsigned>(side_) * static_cast<unsigned>(side_);
    out.pixels.resize(h * w * c);
    for (std::size_t at = 0; at < out.pixels.size(); ++at) {
      const std::size_t channel = at % c, x = at / c % w, y = at / c / w;
      unsigned sum = area / 2;
      for (std::size_t i = 0; i < side * side; ++i)
        sum += stored.pixels[(y * side + i / side) * row + (x * side + i % side) * c + channel];
      out.pixels[at] = static_cast<std::uint8_t>(sum / area);
    }
  }

 private:
  std::unique_ptr<Dataset> set_;
  int side_;
};

}  // namespace

std::unique_ptr<Dataset> shrunk(std::unique_ptr<Dataset> set, int side) {
  LOCKSTEP_EXPECTS(set != nullptr && side >= 2);
  return std::make_unique<Shrunk>(std::move(set), side);
}

}  // namespace lockstep
