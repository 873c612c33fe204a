#pragma once

#include <memory>

#include "core/cancel.h"
#include "core/forward/forwardable.h"
#include "core/graph/inlined_graph.h"
#include "core/graph/program.h"

namespace torchsearch {

struct RecordOptions {
  // Also record branches that were not taken (marked speculative), so that a rewrite reaches both sides.
  bool speculate = false;
};

struct Recording {
  std::shared_ptr<Program> program;
  c10::IValue output;
};

// Runs the graph once on `inputs` without gradients and records what it did. Intermediate results are
// released as they would be by a plain forward. ERR_INPUT where the inputs do not fit the graph, ERR_FORWARD
// where the model fails on them.
Recording record(std::shared_ptr<InlinedGraph> graph, const Inputs& inputs, const RecordOptions& options,
                 const CancelToken& cancel);

// Positional and keyword arguments in the order of the graph's inputs, defaults filled in, `self` first.
std::vector<c10::IValue> arrangeInputs(const InlinedGraph& graph, const Inputs& inputs);

// Appends every tensor inside `value`, depth first, as a program numbers them.
void collectTensors(const c10::IValue& value, std::vector<at::Tensor>& tensors);

}  // namespace torchsearch
