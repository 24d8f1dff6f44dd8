#include "real/data/dataset.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "core/base/error.hpp"
#include "core/base/rng.hpp"

namespace lockstep {

namespace {

class Synthetic final : public Dataset {
 public:
  Synthetic(std::int64_t images, Split split, const Shape& input, int classes, std::uint64_t seed)
      : images_(images),
        input_(input),
        classes_(classes),
        seed_(seed),
        purpose_(split == Split::Training ? "synthetic training" : "synthetic validation") {}

  std::int64_t size() const override { return images_; }
  int classes() const override { return classes_; }
  std::string description() const override {
    return fmt::format("{} synthetic images of {} x {}", images_, input_.h, input_.w);
  }
  void read(std::int64_t index, int, Image& out) const override {
    Rng rng(seed_, purpose_, static_cast<std::uint64_t>(index));
    out.c = input_.c;
    out.h = input_.h;
    out.w = input_.w;
    out.label = static_cast<int>(rng.below(static_cast<std::uint64_t>(classes_)));
    out.pixels.resize(static_cast<std::size_t>(input_.elements()));
    // Two gratings, chosen by the class, in noise: easy enough to learn, too hard to know from one pixel.
    Rng pattern(seed_, "synthetic class", static_cast<std::uint64_t>(out.label));
    const auto a = 1 + static_cast<int>(pattern.below(7)), b = 1 + static_cast<int>(pattern.below(7));
    const auto shift = static_cast<int>(rng.below(8));
    std::size_t at = 0;
    for (int y = 0; y < out.h; ++y) {
      for (int x = 0; x < out.w; ++x) {
        const int wave = ((a * x + shift) / 8 + (b * y) / 8) % 2 * 96;
        for (int c = 0; c < out.c; ++c)
          out.pixels[at++] = static_cast<std::uint8_t>(wave + static_cast<int>(rng.next_u32() >> 25));
      }
    }
  }

 private:
  std::int64_t images_;
  Shape input_;
  int classes_;
  std::uint64_t seed_;
  const char* purpose_;
};

}  // namespace

std::unique_ptr<Dataset> open_synthetic(std::int64_t images, Split split, const Shape& input, int classes,
                                        std::uint64_t seed) {
  return std::make_unique<Synthetic>(images, split, input, classes, seed);
}

std::unique_ptr<Dataset> open_dataset(const DataSpec& data, Split split, const Shape& input, int classes,
                                      std::uint64_t seed) {
  const std::int64_t wanted = split == Split::Training ? data.training_images : data.validation_images;
  std::unique_ptr<Dataset> set;
  if (data.kind == "synthetic") return open_synthetic(wanted, split, input, classes, seed);
  if (data.path.empty())
    throw ConfigError("run file", "data.path",
                      fmt::format("missing; expected the directory with the images of kind {}", data.kind));
  if (!std::filesystem::is_directory(data.path))
    throw ConfigError("run file", "data.path", fmt::format("\"{}\" is not a directory", data.path));
  if (data.kind == "idx") set = open_idx(data.path, split);
  if (data.kind == "cifar10") set = open_cifar10(data.path, split);
  if (data.kind == "imagenet_folder") set = open_image_folder(data.path, split);
  LOCKSTEP_EXPECTS(set != nullptr);
  if (set->classes() > classes)
    throw ConfigError(
        "run file", "model.classes",
        fmt::format("the model tells {} classes apart, but there are {} in {}", classes, set->classes(), data.path));
  const char* key = split == Split::Training ? "data.training_images" : "data.validation_images";
  if (wanted > set->size())
    throw ConfigError(
        "run file", key,
        fmt::format("{} images, but there are {}; expected at most that many (fewer use the first ones): {}", wanted,
                    set->size(), set->description()));
  return set;
}

}  // namespace lockstep
