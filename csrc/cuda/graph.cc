#include "cuda/graph.h"

#include "cuda/check.h"

namespace nmt_trt::cuda {
namespace {

/// The recorded graph, of which only the executable form is kept.
struct Recorded {
  cudaGraph_t graph = nullptr;
  ~Recorded() {
    if (graph != nullptr) cudaGraphDestroy(graph);
  }
};

}  // namespace

Graph::~Graph() {
  if (executable_ != nullptr) cudaGraphExecDestroy(executable_);
}

void Graph::launch(cudaStream_t stream) const { NMT_TRT_CUDA(cudaGraphLaunch(executable_, stream)); }

Capture::Capture(cudaStream_t stream) : stream_(stream) {
  NMT_TRT_CUDA(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal));
}

Capture::~Capture() {
  if (!running_) return;
  Recorded recorded;
  cudaStreamEndCapture(stream_, &recorded.graph);
  cudaGetLastError();
}

Graph Capture::end() {
  running_ = false;
  Recorded recorded;
  NMT_TRT_CUDA(cudaStreamEndCapture(stream_, &recorded.graph));
  Graph graph;
  NMT_TRT_CUDA(cudaGraphGetNodes(recorded.graph, nullptr, &graph.nodes_));
  NMT_TRT_CUDA(cudaGraphInstantiateWithFlags(&graph.executable_, recorded.graph, 0));
  return graph;
}

}  // namespace nmt_trt::cuda
