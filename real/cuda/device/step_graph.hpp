// A step's launches, recorded once and replayed.
#pragma once

#include <cuda_runtime_api.h>

#include <functional>
#include <memory>
#include <type_traits>

namespace lockstep::cuda {

/// What was enqueued on a stream, and on streams that waited for it, as one launch. Addresses are fixed; what changes from step to step must be read from
/// device memory.
class StepGraph {
 public:
  /// Captures what `work` enqueues on `stream`; nothing of it runs. Throws BackendError if something of it cannot be captured.
  StepGraph(cudaStream_t stream, const std::function<void()>& work);
  void launch(cudaStream_t stream) const;

 private:
  struct Destroy {
    void operator()(cudaGraphExec_t g) const { cudaGraphExecDestroy(g); }
  };
  std::unique_ptr<std::remove_pointer_t<cudaGraphExec_t>, Destroy> graph_;
};

}  // namespace lockstep::cuda
