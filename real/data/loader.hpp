// Images made ready ahead of the step that needs them.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <exception>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "core/base/units.hpp"
#include "core/spec/run_spec.hpp"
#include "real/data/augmentation.hpp"
#include "real/data/dataset.hpp"
#include "real/data/device_decoder.hpp"

namespace lockstep {

/// In which form a device takes its images.
struct ImageForm {
  bool packed = false;               ///< as pack_image() leaves them; else as prepare_image() does
  DeviceDecoder* decoder = nullptr;  ///< of JPEG files, where images are packed; null: the host decodes
};

struct LoaderOptions {
  Recipe recipe;
  Shape shape;     ///< of the network's input
  ImageForm form;  ///< its decoder outlives the loader
  std::uint64_t seed = 42;
  int threads = 1;  ///< 0: next() does the work itself
  /// Fail: next() throws, naming the image. Skip: it is named; in training the next image of the data set that can be read takes its place,
  /// in evaluation its label is -1.
  OnBroken on_broken = OnBroken::Fail;
  std::int64_t depth = 64;  ///< most requests that may be outstanding
};

/// Which images to make ready.
struct BatchRequest {
  std::int64_t id = 0;  ///< given back with the batch
  std::int64_t epoch = 0;
  bool training = true;
  bool augment = true;
  std::vector<std::int64_t> samples;  ///< indices into the data set; may be empty
};

struct Batch {
  std::int64_t id = -1;
  std::vector<float> images;        ///< [n, C, H, W]; of packed images n slots of as much memory
  std::vector<PackedImage> packed;  ///< of each slot, if images are packed
  /// Those that packed images name, by image; null where there is none. To be held until the device has read them.
  std::vector<std::shared_ptr<const DevicePixels>> on_device;
  std::vector<std::int32_t> labels;  ///< -1: could not be read
};

/// Batches come back in the order in which they were asked for. What is in a batch depends on the request alone, not on
/// threads or time. All functions are for one thread, the user's.
class Loader {
 public:
  /// `dataset` outlives the loader.
  Loader(const Dataset& dataset, const LoaderOptions& options);
  ~Loader();  ///< drops what was asked for, after the few images that are being read
  Loader(const Loader&) = delete;
  Loader& operator=(const Loader&) = delete;

  /// Begins at once, in the background; never waits. At most `depth` may be outstanding (expected of the caller).
  /// Memory: one batch per request that was not fetched yet.
  void request(BatchRequest request);
  /// Requests whose batches were not fetched yet.
  std::int64_t outstanding() const;
  /// Waits for the oldest request, of which there must be one. Throws ConfigError for a broken image under
  /// OnBroken::Fail, the first in the order of the request whatever the threads did; and under Skip when 100 images in
  /// a row cannot be read (a lost disk, not damaged files). The request is done with then, and the next can be fetched.
  /// What else a data set throws comes through, too.
  Batch next();
  /// A batch that is no longer used, so that its memory is used again: nothing large is allocated once as many batches
  /// as are in use have been given back.
  void recycle(Batch batch);
  /// Broken images so far, each once, sorted: name and reason.
  std::vector<std::string> broken() const;
  /// How long next() has waited in all (with 0 threads: worked).
  Time waited() const { return waited_; }

 private:
  struct Job {
    BatchRequest request;
    Batch batch;
    std::size_t taken = 0, done = 0;  ///< images begun and finished
    std::exception_ptr failure;
    std::size_t failed_at = 0;  ///< the first image that failed
  };
  void work();
  void make(Job& job, std::size_t i);
  void try_make(Job& job, std::size_t i);
  std::size_t portion(const Job& job) const;
  void read(Job& job, std::size_t i, std::int64_t index, const WantedOf& wanted) const;

  const Dataset& dataset_;
  const LoaderOptions options_;
  Time waited_ = Time::zero();
  mutable std::mutex mutex_;
  std::condition_variable work_, done_;
  std::deque<std::shared_ptr<Job>> jobs_;
  std::vector<Batch> spare_;
  std::set<std::string> broken_;
  std::atomic<bool> stop_ = false;  // changed under the mutex, looked at between images without it
  std::vector<std::thread> threads_;
};

}  // namespace lockstep
