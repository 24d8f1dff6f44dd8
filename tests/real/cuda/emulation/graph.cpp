// Launches of captured graphs. A graph promises the order of its edges and no other, so every second launch takes its
// closures as late as their edges allow instead of as they were captured: a missing edge shows as wrong values.
#include <queue>

#include "tests/real/cuda/emulation/stream.hpp"

namespace {

/// An order of the nodes that has every node behind what it needs, later ones first where there is a choice.
std::vector<std::size_t> latest_first(const std::vector<emulator::Node>& nodes) {
  std::vector<std::vector<std::size_t>> followers(nodes.size());
  std::vector<std::size_t> missing(nodes.size(), 0), order;
  std::priority_queue<std::size_t> ready;
  for (std::size_t n = 0; n < nodes.size(); ++n) {
    missing[n] = nodes[n].needs.size();
    for (const std::size_t need : nodes[n].needs) followers[need].push_back(n);
    if (missing[n] == 0) ready.push(n);
  }
  while (!ready.empty()) {
    const std::size_t n = ready.top();
    ready.pop();
    order.push_back(n);
    for (const std::size_t f : followers[n]) {
      if (--missing[f] == 0) ready.push(f);
    }
  }
  return order;
}

}  // namespace

extern "C" {

cudaError_t cudaGraphInstantiateWithFlags(cudaGraphExec_t* executable, cudaGraph_t graph, unsigned long long) {
  return *executable = new CUgraphExec_st{graph->nodes}, cudaSuccess;
}
cudaError_t cudaGraphInstantiate(cudaGraphExec_t* executable, cudaGraph_t graph, unsigned long long flags) {
  return cudaGraphInstantiateWithFlags(executable, graph, flags);
}

cudaError_t cudaGraphLaunch(cudaGraphExec_t executable, cudaStream_t stream) {
  cudaStreamCaptureStatus status = cudaStreamCaptureStatusNone;
  cudaStreamIsCapturing(stream, &status);
  if (status != cudaStreamCaptureStatusNone) return cudaErrorStreamCaptureUnsupported;
  const bool reordered = executable->launches++ % 2 == 0;
  cudaError_t result = cudaSuccess;
  if (reordered) {
    for (const std::size_t n : latest_first(executable->nodes))
      result = emulator::put(stream, executable->nodes[n].work);
  } else {
    for (const emulator::Node& node : executable->nodes) result = emulator::put(stream, node.work);
  }
  return result;
}

cudaError_t cudaGraphExecDestroy(cudaGraphExec_t executable) { return delete executable, cudaSuccess; }
cudaError_t cudaGraphDestroy(cudaGraph_t graph) { return delete graph, cudaSuccess; }

}  // extern "C"
