// Labelled images by index, wherever they come from.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "core/model/graph.hpp"
#include "core/spec/run_spec.hpp"
#include "real/data/image.hpp"

namespace lockstep {

/// One image cannot be read; the others can. Names the file (or the record) and the reason.
class BrokenImage : public std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// What will be used of an image: a part of it, which will be resampled to out_h x out_w pixels.
struct Wanted {
  Region part;  ///< in pixels of the stored image, inside it
  int out_h = 0, out_w = 0;
};

/// Asked once the size of the stored image is known. Empty: all of the image is wanted, pixel by pixel.
using WantedOf = std::function<Wanted(int stored_h, int stored_w)>;

/// A JPEG file as it is stored.
struct StoredJpeg {
  std::string name;
  std::vector<char> bytes;
  int label = 0;
};

class Dataset {
 public:
  virtual ~Dataset() = default;
  virtual std::int64_t size() const = 0;
  virtual int classes() const = 0;
  /// "60,000 images of 28 x 28 in /data/train-images-idx3-ubyte.gz".
  virtual std::string description() const = 0;
  /// 0 <= index < size(). Any thread may call it at any time. A reader may leave out what is not wanted and return a
  /// smaller version of the rest, as `Image::view` then says. `out` keeps its memory. Throws BrokenImage.
  virtual void read(std::int64_t index, const WantedOf& wanted, Image& out) const = 0;
  /// For those who decode themselves; any thread, as read(). False: its images are no JPEG files. `out` keeps its memory. Throws BrokenImage if the file
  /// cannot be read.
  virtual bool read_jpeg(std::int64_t, StoredJpeg&) const { return false; }
};

enum class Split { Training, Validation };

/// The images of `data.kind` below `data.path`:
///   idx:             train-images-idx3-ubyte and train-labels-idx1-ubyte, t10k-..., plain or .gz (MNIST and
///                    Fashion-MNIST);
///   cifar10:         data_batch_1.bin to 5, test_batch.bin;
///   imagenet_folder: train/CLASS/*.JPEG, val/CLASS/*.JPEG (also .jpg, .jpeg); a class is the position of its folder's
///                    name in sorted order. Names that begin with a dot are no part of it;
///   synthetic:       of the model's input size, a pattern per class in noise, a function of (seed, index) alone; all
///                    classes differ (up to 1,274).
/// With `data.shrink` above 1 the pixels of idx and cifar10 are averaged (shrunk()).
/// idx and cifar10 are kept in memory whole; of an image folder the names are. `input` and `classes` are those of the
/// model: more classes in the data than in the model are a fault. Throws ConfigError with every fault found, each with
/// the file, what was expected and what was found.
std::unique_ptr<Dataset> open_dataset(const DataSpec& data, Split split, const Shape& input, int classes,
                                      std::uint64_t seed);

std::unique_ptr<Dataset> open_idx(const std::filesystem::path& directory, Split split);
std::unique_ptr<Dataset> open_cifar10(const std::filesystem::path& directory, Split split);
std::unique_ptr<Dataset> open_image_folder(const std::filesystem::path& directory, Split split);

/// The images of `set`, averaged channel by channel over squares of `side` >= 2 pixels and rounded to whole levels, half
/// up; what fills no square at the right and the bottom is left out. `set` must give whole images (no views) of at
/// least `side` x `side` pixels.
std::unique_ptr<Dataset> shrunk(std::unique_ptr<Dataset> set, int side);
std::unique_ptr<Dataset> open_synthetic(std::int64_t images, Split split, const Shape& input, int classes,
                                        std::uint64_t seed);

}  // namespace lockstep
