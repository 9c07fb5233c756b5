#include "cuda/graph.h"

#include <vector>

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

NodeCounts count_nodes(cudaGraph_t graph) {
  size_t total = 0;
  NMT_TRT_CUDA(cudaGraphGetNodes(graph, nullptr, &total));
  std::vector<cudaGraphNode_t> nodes(total);
  if (total > 0) NMT_TRT_CUDA(cudaGraphGetNodes(graph, nodes.data(), &total));
  NodeCounts counts;
  for (const cudaGraphNode_t node : nodes) {
    cudaGraphNodeType type;
    NMT_TRT_CUDA(cudaGraphNodeGetType(node, &type));
    if (type == cudaGraphNodeTypeKernel) {
      ++counts.kernels;
    } else if (type == cudaGraphNodeTypeMemset) {
      ++counts.memsets;
    } else {
      ++counts.others;
    }
  }
  return counts;
}

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
  graph.nodes_ = count_nodes(recorded.graph);
  NMT_TRT_CUDA(cudaGraphInstantiateWithFlags(&graph.executable_, recorded.graph, 0));
  return graph;
}

}  // namespace nmt_trt::cuda
