// Owned streams and events.
#pragma once

#include <memory>
#include <type_traits>

#include "core/base/units.hpp"
#include "real/cuda/base/check.hpp"

namespace lockstep::cuda {

/// A queue of device work beside all others (it does not wait for the default stream).
class Stream {
 public:
  /// `urgent`: its kernels go before those of other streams, where both wait.
  explicit Stream(bool urgent = false);
  operator cudaStream_t() const { return stream_.get(); }
  /// Waits on the host until everything queued is done; throws BackendError for faults of the kernels.
  void synchronise() const;

 private:
  struct Destroy {
    void operator()(cudaStream_t s) const { cudaStreamDestroy(s); }
  };
  std::unique_ptr<std::remove_pointer_t<cudaStream_t>, Destroy> stream_;
};

/// A point in a stream.
class Event {
 public:
  /// `timed`: elapsed() can be asked; costs a little more.
  explicit Event(bool timed = false);
  operator cudaEvent_t() const { return event_.get(); }
  void record(cudaStream_t stream);
  /// What comes later in `stream` waits for this point; the host does not.
  void block(cudaStream_t stream) const;
  bool reached() const;
  void synchronise() const;
  /// From `begin` to this; both timed and reached.
  Time since(const Event& begin) const;

 private:
  struct Destroy {
    void operator()(cudaEvent_t e) const { cudaEventDestroy(e); }
  };
  std::unique_ptr<std::remove_pointer_t<cudaEvent_t>, Destroy> event_;
};

}  // namespace lockstep::cuda
