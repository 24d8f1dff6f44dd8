// Images made ready ahead of the step that needs them.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <exception>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "real/data/augmentation.hpp"
#include "real/data/dataset.hpp"

namespace lockstep {

enum class OnBroken {
  Fail,  ///< next() throws, naming the image
  Skip  ///< named, counted; in training the next sample that can be read takes its place, in evaluation its label is -1
};

struct LoaderOptions {
  Recipe recipe;
  Shape shape;  ///< of the network's input
  std::uint64_t seed = 42;
  int threads = 1;  ///< 0: next() does the work itself
  OnBroken on_broken = OnBroken::Fail;
};

/// Which images to make ready.
struct BatchRequest {
  std::int64_t id = 0;  ///< given back with the batch
  std::int64_t epoch = 0;
  bool training = true;
  bool augment = true;
  std::vector<std::int64_t> samples;  ///< indices into the data set
};

struct Batch {
  std::int64_t id = -1;
  std::vector<float> images;         ///< [n, C, H, W]
  std::vector<std::int32_t> labels;  ///< -1: could not be read
};

/// Batches come back in the order in which they were asked for. What is in a batch depends on the request alone, not on threads or time.
class Loader {
 public:
  Loader(const Dataset& dataset, LoaderOptions options);
  ~Loader();  ///< drops what was asked for
  Loader(const Loader&) = delete;
  Loader& operator=(const Loader&) = delete;

  /// Begins at once, in the background. Memory: one batch per request that was not fetched yet.
  void request(BatchRequest request);
  std::int64_t outstanding() const;
  /// Waits for the oldest request. The batch may be given back by recycle() to spare an allocation. Throws ConfigError for a broken image under OnBroken::Fail.
  Batch next();
  void recycle(Batch batch);
  /// Broken images so far, each once: name and reason.
  std::vector<std::string> broken() const;

 private:
  struct Job {
    BatchRequest request;
    Batch batch;
    std::size_t taken = 0, done = 0;  ///< images begun and finished
    std::exception_ptr failure;
  };
  void work();
  void make(Job& job, std::size_t i);

  const Dataset& dataset_;
  const LoaderOptions options_;
  mutable std::mutex mutex_;
  std::condition_variable work_, done_;
  std::deque<std::shared_ptr<Job>> jobs_;
  std::vector<Batch> spare_;
  std::vector<std::string> broken_;
  bool stop_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace lockstep
