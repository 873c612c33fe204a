#pragma once

#include <torch/script.h>

#include <set>
#include <string>

namespace torchsearch {

// Where the graph, a module's own inlined forward, reads a list, tuple or dictionary of the module that holds
// parameters or buffers (`_flat_weights` of a scripted LSTM), it reads these themselves from now on. So what
// is computed follows them when they are narrowed, trained, loaded or converted, as names in a state dict
// promise. Containers that the graph changes stay as they are.
void readThroughContainers(const torch::jit::Module& module, torch::jit::Graph& graph);

// Paths of the containers that hold nothing but parameters and buffers.
std::set<std::string> parameterContainers(const torch::jit::Module& module);

}  // namespace torchsearch
