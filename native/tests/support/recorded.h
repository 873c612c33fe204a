#pragma once

#include <torch/script.h>

#include <memory>
#include <string>
#include <vector>

#include "core/forward/executor.h"
#include "core/graph/recorder.h"

namespace torchsearch::testing {

// A module whose forward is compiled from TorchScript source, recorded on given inputs.
struct Recorded {
  torch::jit::Module module;
  std::shared_ptr<InlinedGraph> graph;
  std::shared_ptr<const Program> program;
  std::vector<at::Tensor> tensors;
  c10::IValue output;

  Recorded(torch::jit::Module compiled, const Inputs& inputs) : module(std::move(compiled)) {
    graph = InlinedGraph::copyOf(module, InlinedGraph::FusedAttention::kKeep);
    Recording recording = record(graph, inputs, {}, CancelToken());
    program = recording.program;
    output = recording.output;
    tensors = inputTensors(*graph, inputs);
  }
};

inline Inputs positional(std::vector<at::Tensor> tensors) {
  Inputs inputs;
  for (auto& tensor : tensors) inputs.args.emplace_back(std::move(tensor));
  return inputs;
}

}  // namespace torchsearch::testing
