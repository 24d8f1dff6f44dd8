// Labelled images by index, wherever they come from.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "core/model/graph.hpp"
#include "core/spec/run_spec.hpp"

namespace lockstep {

/// Pixels row by row, channels of a pixel together.
struct Image {
  int c = 0, h = 0, w = 0;
  std::vector<std::uint8_t> pixels;  ///< [h, w, c]
  int label = 0;
};

/// One image cannot be read; the others can. Names the file (or the record) and the reason.
class BrokenImage : public std::runtime_error {
  using std::runtime_error::runtime_error;
};

class Dataset {
 public:
  virtual ~Dataset() = default;
  virtual std::int64_t size() const = 0;
  virtual int classes() const = 0;
  /// "60,000 images of 28 x 28 in /data/train-images-idx3-ubyte.gz".
  virtual std::string description() const = 0;
  /// 0 <= index < size(). Any thread may call it at any time. `target`: pixels that will be needed across; a reader may return a smaller version
  /// of the image that still has them. Throws BrokenImage.
  virtual void read(std::int64_t index, int target, Image& out) const = 0;
};

enum class Split { Training, Validation };

/// The images of `data.kind` below `data.path`:
///   idx:             train-images-idx3-ubyte and train-labels-idx1-ubyte, t10k-..., plain or .gz (MNIST, Fashion-MNIST);
///   cifar10:         data_batch_1.bin to 5, test_batch.bin;
///   imagenet_folder: train/CLASS/*.JPEG, val/CLASS/*.JPEG; a class is the position of its folder's name in sorted order;
///   synthetic:       of the model's input size, a pattern per class and noise, a function of (seed, index) alone.
/// `input` and `classes` are those of the model: more classes in the data than in the model are a fault. Throws ConfigError with every fault
/// found, each with the file, what was expected and what was found.
std::unique_ptr<Dataset> open_dataset(const DataSpec& data, Split split, const Shape& input, int classes,
                                      std::uint64_t seed);

std::unique_ptr<Dataset> open_idx(const std::filesystem::path& directory, Split split);
std::unique_ptr<Dataset> open_cifar10(const std::filesystem::path& directory, Split split);
std::unique_ptr<Dataset> open_image_folder(const std::filesystem::path& directory, Split split);
std::unique_ptr<Dataset> open_synthetic(std::int64_t images, Split split, const Shape& input, int classes,
                                        std::uint64_t seed);

}  // namespace lockstep
