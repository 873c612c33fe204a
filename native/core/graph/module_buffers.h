#pragma once

#include <torch/csrc/jit/ir/ir.h>
#include <torch/script.h>

#include <map>
#include <string>

namespace torchsearch {

// Adds buffers, by their dotted paths, to a module whose forward is `graph`, inlined, and which has no other
// methods
// (`removeMethods`). The submodules that get one, and those above them, get types of their own, since others
// may share the ones that they have; `graph` knows them then. ERR_EXPORT where it reaches a submodule in a
// way that can't be followed.
void addBuffers(const torch::jit::Module& module, torch::jit::Graph& graph,
                const std::map<std::string, at::Tensor>& buffers);

}  // namespace torchsearch
