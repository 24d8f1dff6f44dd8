#include "real/data/dataset.hpp"

#include <algorithm>
#include <array>

#include <fmt/format.h>

#include "core/base/error.hpp"
#include "core/base/rng.hpp"
#include "core/spec/words.hpp"
#include "real/data/order.hpp"

namespace lockstep {

namespace {

/// How the images of a class differ from others': a grating of `across` and `down` stripes, `level` times as strong in
/// each channel.
struct Pattern {
  int across = 1, down = 1;
  std::array<int, 3> level{};
};

/// A different pattern for every class while there are enough (49 gratings in 26 colours): the seed decides which.
std::vector<Pattern> patterns(int classes, int channels, std::uint64_t seed) {
  constexpr int kStripes = 7, kLevels = 3;
  const int coloured = std::min(channels, 3);
  int colours = -1;  // not all channels dark
  for (int c = 0, all = 1; c < coloured; ++c) colours = (all *= kLevels) - 1;
  const int kinds = kStripes * kStripes * colours;
  const auto order = epoch_order(seed, 0, kinds);  // a shuffle like any other
  std::vector<Pattern> out;
  for (int label = 0; label < classes; ++label) {
    int kind = order[static_cast<std::size_t>(label % kinds)];
    Pattern p;
    p.across = 1 + kind % kStripes;
    kind /= kStripes;
    p.down = 1 + kind % kStripes;
    int colour = 1 + kind / kStripes;
    for (int c = 0; c < coloured; ++c, colour /= kLevels) p.level[static_cast<std::size_t>(c)] = colour % kLevels;
    out.push_back(p);
  }
  return out;
}

class Synthetic final : public Dataset {
 public:
  Synthetic(std::int64_t images, Split split, const Shape& input, int classes, std::uint64_t seed)
      : images_(images),
        input_(input),
        seed_(seed),
        purpose_(split == Split::Training ? "synthetic training" : "synthetic validation"),
        patterns_(patterns(classes, input.c, seed)) {}

  std::int64_t size() const override { return images_; }
  int classes() const override { return static_cast<int>(patterns_.size()); }
  std::string description() const override {
    return fmt::format("{} synthetic images of {} x {}", fmt::group_digits(images_), input_.h, input_.w);
  }
  void read(std::int64_t index, const WantedOf&, Image& out) const override {
    Rng rng(seed_, purpose_, static_cast<std::uint64_t>(index));
    out.c = input_.c;
    out.h = input_.h;
    out.w = input_.w;
    out.view = {};
    out.label = static_cast<int>(rng.below(patterns_.size()));
    out.pixels.resize(static_cast<std::size_t>(input_.elements()));
    const Pattern& pattern = patterns_[static_cast<std::size_t>(out.label)];
    const auto shift = static_cast<int>(rng.below(8));  // no pixel alone tells the class
    constexpr int kStrength = 48;                       // of a level, in noise of 0 to 127
    std::size_t at = 0;
    std::uint32_t noise = 0;
    for (int y = 0; y < out.h; ++y) {
      for (int x = 0; x < out.w; ++x) {
        const int lit = ((pattern.across * x + shift) / 8 + pattern.down * y / 8) % 2;
        for (int c = 0; c < out.c; ++c) {
          if (at % 4 == 0) noise = rng.next_u32();
          out.pixels[at++] = static_cast<std::uint8_t>(
              lit * kStrength * pattern.level[static_cast<std::size_t>(c % 3)] + static_cast<int>(noise & 127));
          noise >>= 8;
        }
      }
    }
  }

 private:
  std::int64_t images_;
  Shape input_;
  std::uint64_t seed_;
  const char* purpose_;
  std::vector<Pattern> patterns_;
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
  if (data.kind == DataKind::Synthetic) return open_synthetic(wanted, split, input, classes, seed);
  if (data.path.empty())
    throw ConfigError("run file", "data.path",
                      fmt::format("missing; expected the directory with the images of kind {}", word_of(data.kind)));
  std::error_code code;
  if (!std::filesystem::is_directory(data.path, code))
    throw ConfigError("run file", "data.path",
                      fmt::format("\"{}\" is not a directory{}", data.path, code ? ": " + code.message() : ""));
  if (data.kind == DataKind::Idx) set = open_idx(data.path, split);
  if (data.kind == DataKind::Cifar10) set = open_cifar10(data.path, split);
  if (data.kind == DataKind::ImagenetFolder) set = open_image_folder(data.path, split);
  LOCKSTEP_EXPECTS(set != nullptr);
  if (data.shrink > 1) set = shrunk(std::move(set), data.shrink);
  std::vector<Fault> faults;
  if (set->classes() > classes)
    faults.push_back(
        {"run file", "model.classes",
         fmt::format("the model tells {} classes apart, but there are {} in {}", classes, set->classes(), data.path)});
  if (wanted > set->size())
    faults.push_back(
        {"run file", split == Split::Training ? "data.training_images" : "data.validation_images",
         fmt::format("{} images, but there are {}; expected at most that many (fewer use the first ones): {}",
                     fmt::group_digits(wanted), fmt::group_digits(set->size()), set->description())});
  if (!faults.empty()) throw ConfigError(std::move(faults));
  return set;
}

}  // namespace lockstep
