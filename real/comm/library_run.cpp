#include "real/comm/collective_run.hpp"

namespace lockstep {

namespace {

class LibraryRun final : public CollectiveRun {
 public:
  LibraryRun(std::span<float> buffer, Transport& transport)
      : transport_(transport), request_(transport.begin_allreduce(buffer)) {}
  ~LibraryRun() override {
    if (!done_) transport_.cancel(request_);
  }

  Progress advance() override {
    done_ = done_ || transport_.test(request_);
    return done_ ? Progress::Done : Progress::None;
  }
  /// The library does not tell.
  bool heard() const override { return done_; }
  Wait waiting() const override {
    Wait wait{{}, "the library's own allreduce"};
    for (int r = 0; r < transport_.size(); ++r) {
      if (r != transport_.rank()) wait.ranks.push_back(r);
    }
    return wait;
  }

 private:
  Transport& transport_;
  Transport::Request request_;
  bool done_ = false;
};

}  // namespace

std::unique_ptr<CollectiveRun> run_library(std::span<float> buffer, Transport& transport) {
  return std::make_unique<LibraryRun>(buffer, transport);
}

}  // namespace lockstep
