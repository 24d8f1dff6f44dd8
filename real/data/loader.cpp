#include "real/data/loader.hpp"

#include <algorithm>
#include <chrono>

#include <fmt/format.h>

#include "core/base/error.hpp"
#include "real/data/jpeg/decode.hpp"

namespace lockstep {

namespace {

constexpr int kMostReplacements = 100;   // images in a row that cannot be read
constexpr std::size_t kMostAtOnce = 16;  // images that a thread takes: locking costs as much as a small image

}  // namespace

Loader::Loader(const Dataset& dataset, const LoaderOptions& options) : dataset_(dataset), options_(options) {
  LOCKSTEP_EXPECTS(options_.threads >= 0 && options_.depth >= 1);
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
  LOCKSTEP_EXPECTS(std::ssize(jobs_) < options_.depth);
  if (!spare_.empty()) {
    job->batch = std::move(spare_.back());
    spare_.pop_back();
  }
  job->batch.id = request.id;
  job->batch.images.resize(request.samples.size() * static_cast<std::size_t>(options_.shape.elements()));
  job->batch.labels.resize(request.samples.size());
  if (options_.form.packed) job->batch.packed.resize(request.samples.size());
  if (options_.form.decoder != nullptr) job->batch.on_device.assign(request.samples.size(), nullptr);
  job->request = std::move(request);
  jobs_.push_back(std::move(job));
  work_.notify_all();
}

std::int64_t Loader::outstanding() const {
  const std::lock_guard lock(mutex_);
  return std::ssize(jobs_);
}

Batch Loader::next() {
  const auto begin = std::chrono::steady_clock::now();
  std::unique_lock lock(mutex_);
  LOCKSTEP_EXPECTS(!jobs_.empty());
  const std::shared_ptr<Job> job = jobs_.front();
  const std::size_t n = job->request.samples.size();
  if (threads_.empty()) {
    lock.unlock();
    for (; job->taken < n && !job->failure; ++job->taken) try_make(*job, job->taken);
    lock.lock();
  } else {
    done_.wait(lock, [&] { return job->done == n; });
  }
  jobs_.pop_front();
  waited_ += Time::seconds(std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count());
  if (job->failure) {
    spare_.push_back(std::move(job->batch));
    std::rethrow_exception(job->failure);
  }
  return std::move(job->batch);
}

void Loader::recycle(Batch batch) {
  batch.on_device.clear();
  const std::lock_guard lock(mutex_);
  if (std::ssize(spare_) < options_.depth) spare_.push_back(std::move(batch));
}

std::vector<std::string> Loader::broken() const {
  const std::lock_guard lock(mutex_);
  return {broken_.begin(), broken_.end()};
}

/// Few enough that all threads have work to the end of the batch.
std::size_t Loader::portion(const Job& job) const {
  const std::size_t left = job.request.samples.size() - job.taken;
  return std::clamp<std::size_t>(left / (2 * threads_.size()), 1, kMostAtOnce);
}

void Loader::work() {
  std::unique_lock lock(mutex_);
  while (true) {
    std::shared_ptr<Job> job;
    work_.wait(lock, [&] {
      const auto open =
          std::find_if(jobs_.begin(), jobs_.end(), [](const auto& j) { return j->taken < j->request.samples.size(); });
      if (open != jobs_.end()) job = *open;
      return stop_ || job;
    });
    if (stop_) return;
    const std::size_t first = job->taken, count = portion(*job);
    job->taken += count;
    lock.unlock();
    for (std::size_t i = first; i < first + count && !stop_; ++i) try_make(*job, i);
    lock.lock();
    job->done += count;
    if (job->done == job->request.samples.size()) done_.notify_all();
  }
}

void Loader::try_make(Job& job, std::size_t i) {
  try {
    make(job, i);
  } catch (...) {
    const std::lock_guard lock(mutex_);
    if (job.failure && job.failed_at < i) return;
    job.failure = std::current_exception();
    job.failed_at = i;
  }
}

/// Image `index` of the data set, with the draw of the one that was wished for.
void Loader::read(Job& job, std::size_t i, std::int64_t index, const WantedOf& wanted) const {
  const BatchRequest& request = job.request;
  const auto elements = static_cast<std::size_t>(options_.shape.elements());
  const std::span<float> out(job.batch.images.data() + i * elements, elements);
  const auto pack = [&](const Image& image) {
    return pack_image(image, options_.recipe, request.augment, options_.seed, request.epoch, request.samples[i],
                      options_.shape, out);
  };
  thread_local StoredJpeg file;  // both keep their memory
  thread_local Image image;
  image.on_device = nullptr;
  if (options_.form.decoder != nullptr && dataset_.read_jpeg(index, file)) {
    job.batch.labels[i] = file.label;
    if (auto pixels = options_.form.decoder->decode(file.bytes)) {
      Image there;
      there.c = 3;
      there.h = pixels->h;
      there.w = pixels->w;
      there.on_device = pixels->data;
      if (const auto packed = pack(there)) {
        job.batch.packed[i] = *packed;
        job.batch.on_device[i] = std::move(pixels);
        return;
      }
    }
    decode_jpeg(file.bytes, wanted, file.name, image);
  } else {
    dataset_.read(index, wanted, image);
    job.batch.labels[i] = image.label;
  }
  if (options_.form.packed) {
    job.batch.packed[i] = pack(image).value();
  } else {
    prepare_image(image, options_.recipe, request.augment, options_.seed, request.epoch, request.samples[i],
                  options_.shape, out);
  }
}

void Loader::make(Job& job, std::size_t i) {
  const BatchRequest& request = job.request;
  const auto elements = static_cast<std::size_t>(options_.shape.elements());
  const std::span<float> out(job.batch.images.data() + i * elements, elements);
  const std::int64_t wished = request.samples[i], size = dataset_.size();
  LOCKSTEP_EXPECTS(0 <= wished && wished < size);
  const WantedOf wanted = [&](int h, int w) -> Wanted {
    const Draw draw =
        draw_of(options_.recipe, request.augment, options_.seed, request.epoch, wished, h, w, options_.shape);
    if (draw.region) return {*draw.region, options_.shape.h, options_.shape.w};
    return {{0, 0, static_cast<double>(h), static_cast<double>(w)}, h, w};
  };
  std::string reason;
  for (std::int64_t step = 0; step < std::min<std::int64_t>(size, kMostReplacements); ++step) {
    try {
      read(job, i, (wished + step) % size, wanted);
      return;
    } catch (const BrokenImage& e) {
      reason = e.what();
      const std::lock_guard lock(mutex_);
      broken_.insert(reason);
    }
    if (options_.on_broken == OnBroken::Fail)
      throw ConfigError("data", "data.broken", reason + " (data.broken = \"skip\" goes on without it)");
    if (!request.training) {
      if (options_.form.packed) {
        job.batch.packed[i] = {};
      } else {
        std::fill(out.begin(), out.end(), 0.0f);
      }
      job.batch.labels[i] = -1;
      return;
    }
  }
  throw ConfigError("data", "data.path",
                    fmt::format("{} images in a row cannot be read, the last is {}",
                                std::min<std::int64_t>(size, kMostReplacements), reason));
}

}  // namespace lockstep
