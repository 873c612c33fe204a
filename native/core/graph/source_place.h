#pragma once

#include <torch/csrc/jit/ir/ir.h>

#include <string>

namespace torchsearch {

// Where a node comes from, for messages, such as "in module 'encoder', at model.py:17 (`k = int(n.item())`)":
// its module, and the line of Python nearest to it that is not PyTorch's own. Of files without debug
// information, it is the line of TorchScript in the file. Empty where nothing is known.
std::string placeOf(const torch::jit::Node* node);

// Whether torch.jit.trace made a graph: its nodes then stand for calls, not for source text.
bool isTraced(const torch::jit::Graph& graph);

}  // namespace torchsearch
