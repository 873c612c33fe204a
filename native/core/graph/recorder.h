#pragma once

#include <torch/csrc/jit/runtime/operator.h>

#include <memory>

#include "core/base/cancel.h"
#include "core/call/forwardable.h"
#include "core/graph/inlined_graph.h"
#include "core/graph/program.h"

namespace torchsearch {

struct RecordOptions {
  // Also record branches that were not taken (marked speculative), so that a rewrite reaches both sides.
  bool speculate = false;
  // Record whatever cuts a tensor into pieces (chunk, split, tensor_split) as `aten::split_with_sizes`, whose
  // pieces may have any widths.
  bool splitBySizes = false;
};

struct Recording {
  std::shared_ptr<Program> program;
  c10::IValue output;
};

// Runs the graph once on `inputs` without gradients and records what it did. Intermediate results are
// released as they would be by a plain forward, and buffers and attributes that forward changes are restored.
// ERR_INPUT where the inputs do not fit the graph, ERR_FORWARD where the model fails on them.
Recording record(std::shared_ptr<InlinedGraph> graph, const Inputs& inputs, const RecordOptions& options,
                 const CancelToken& cancel);

// Positional and keyword arguments in the order of the graph's inputs, defaults filled in, `self` first.
std::vector<c10::IValue> arrangeInputs(const InlinedGraph& graph, const Inputs& inputs);

// Whether an operator's results hold tensors: only then is it an instruction.
bool producesTensors(const c10::FunctionSchema& schema);

// Whether an operator cuts a tensor into pieces by a rule: what RecordOptions::splitBySizes is about.
bool cutsByRule(const c10::FunctionSchema& schema);

// `aten::split_with_sizes(self, split_sizes, dim)`.
const torch::jit::Operator& splitWithSizes();

// Appends every tensor inside `value`, depth first, as a program numbers them.
void collectTensors(const c10::IValue& value, std::vector<at::Tensor>& tensors);

}  // namespace torchsearch
