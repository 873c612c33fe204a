#pragma once

#include <torch/script.h>

#include <set>
#include <string>

namespace torchsearch {

// Removes the named tensors from the module, and each submodule that holds none other, as far as `graph`, the
// module's own inlined forward, does not use them. Modules that lose something get types of their own, since
// others may share theirs; so the module must never have run and have no method but forward.
void removeAttributes(const torch::jit::Module& module, torch::jit::Graph& graph,
                      const std::set<std::string>& tensors);

}  // namespace torchsearch
