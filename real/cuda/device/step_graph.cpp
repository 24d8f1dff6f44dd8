#include "real/cuda/device/step_graph.hpp"

#include "real/cuda/base/check.hpp"

namespace lockstep::cuda {

StepGraph::StepGraph(cudaStream_t stream, const std::function<void()>& work) {
  check(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal), "beginning to capture a step");
  cudaGraph_t graph = nullptr;
  try {
    work();
  } catch (...) {
    cudaStreamEndCapture(stream, &graph);  // else the stream could not be used any more
    if (graph != nullptr) cudaGraphDestroy(graph);
    cudaGetLastError();
    throw;
  }
  check(cudaStreamEndCapture(stream, &graph), "capturing a step");
  cudaGraphExec_t executable = nullptr;
  const cudaError_t result = cudaGraphInstantiateWithFlags(&executable, graph, 0);
  cudaGraphDestroy(graph);
  check(result, "cudaGraphInstantiate");
  graph_.reset(executable);
}

void StepGraph::launch(cudaStream_t stream) const { check(cudaGraphLaunch(graph_.get(), stream), "cudaGraphLaunch"); }

}  // namespace lockstep::cuda
