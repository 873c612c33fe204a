#pragma once

#include <torch/script.h>

#include <set>
#include <string>
#include <vector>

namespace torchsearch {

// Questions for the dtype, device or sizes of tensors that go (`removed`, by path), asked through the nodes
// `reads` that read them from `module`: one for the dtype or device goes to a parameter of the same that
// stays, so that it follows a conversion of the module as before; any other becomes its answer. Whether there
// was any.
bool answerQueries(const torch::jit::Module& module, torch::jit::Graph& graph,
                   const std::vector<const torch::jit::Node*>& reads, const std::set<std::string>& removed);

}  // namespace torchsearch
