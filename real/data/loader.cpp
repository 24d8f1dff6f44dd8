#include "real/data/loader.hpp"

#include <algorithm>

#include "core/base/error.hpp"

namespace lockstep {

Loader::Loader(const Dataset& dataset, LoaderOptions options) : dataset_(dataset), options_(std::move(options)) {
  for (int t = 0; t < options_.threads; ++t) threads_.emplace_back([this] { work(); });
}

Loader::~Loader() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  work_.notify_all();
  for (auto& thread : threads_) thread.join();
}

void Loader::request(BatchRequest request) {
  auto job = std::make_shared<Job>();
  const std::lock_guard lock(mutex_);
  if (!spare_.empty()) {
    job->batch = std::move(spare_.back());
    spare_.pop_back();
  }
  job->batch.id = request.id;
  job->batch.images.resize(request.samples.size() * static_cast<std::size_t>(options_.shape.elements()));
  job->batch.labels.resize(request.samples.size());
  job->request = std::move(request);
  jobs_.push_back(std::move(job));
  work_.notify_all();
}

std::int64_t Loader::outstanding() const {
  const std::lock_guard lock(mutex_);
  return std::ssize(jobs_);
}

Batch Loader::next() {
  std::unique_lock lock(mutex_);
  LOCKSTEP_EXPECTS(!jobs_.empty());
  const std::shared_ptr<Job> job = jobs_.front();
  const std::size_t n = job->request.samples.size();
  if (threads_.empty()) {
    lock.unlock();
    for (std::size_t i = 0; i < n; ++i) make(*job, i);
    lock.lock();
  } else {
    done_.wait(lock, [&] { return job->done == n; });
  }
  jobs_.pop_front();
  if (job->failure) std::rethrow_exception(job->failure);
  return std::move(job->batch);
}

void Loader::recycle(Batch batch) {
  const std::lock_guard lock(mutex_);
  spare_.push_back(std::move(batch));
}

std::vector<std::string> Loader::broken() const {
  const std::lock_guard lock(mutex_);
  return broken_;
}

void Loader::work() {
  std::unique_lock lock(mutex_);
  while (true) {
    std::shared_ptr<Job> job;
    work_.wait(lock, [&] {
      for (const auto& j : jobs_) {
        if (j->taken < j->request.samples.size()) {
          job = j;
          break;
        }
      }
      return stop_ || job;
    });
    if (stop_) return;
    const std::size_t i = job->taken++;
    lock.unlock();
    try {
      make(*job, i);
    } catch (...) {
      const std::lock_guard failed(mutex_);
      if (!job->failure) job->failure = std::current_exception();
    }
    lock.lock();
    if (++job->done == job->request.samples.size()) done_.notify_all();
  }
}

void Loader::make(Job& job, std::size_t i) {
  const BatchRequest& request = job.request;
  const auto elements = static_cast<std::size_t>(options_.shape.elements());
  const std::span<float> out(job.batch.images.data() + i * elements, elements);
  thread_local Image image;  // keeps its memory
  const std::int64_t size = dataset_.size();
  for (std::int64_t step = 0; step < size; ++step) {
    const std::int64_t sample = (request.samples[i] + step) % size;
    try {
      dataset_.read(sample, pixels_needed(options_.recipe, options_.shape), image);
      prepare_image(image, options_.recipe, request.augment, options_.seed, request.epoch, request.samples[i],
                    options_.shape, out);
      job.batch.labels[i] = image.label;
      return;
    } catch (const BrokenImage& e) {
      const std::lock_guard lock(mutex_);
      if (std::find(broken_.begin(), broken_.end(), e.what()) == broken_.end()) broken_.push_back(e.what());
      if (options_.on_broken == OnBroken::Fail)
        throw ConfigError("data", "data.broken",
                          std::string(e.what()) + " (data.broken = \"skip\" goes on without it)");
    }
    if (!request.training) break;
  }
  std::fill(out.begin(), out.end(), 0.0f);
  job.batch.labels[i] = -1;
}

}  // namespace lockstep
