#pragma once

#include <torch/script.h>

#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "core/graph/module_paths.h"

namespace torchsearch {

// What attributes a module and its submodules lose and get. Paths are dotted; the root's is empty.
struct ModuleEdit {
  std::set<std::string> dropped;  // attributes
  std::map<std::string, std::vector<std::pair<std::string, at::Tensor>>>
      added;  // buffers, by the module's path
  // Modules of which something changes, or of whose submodules.
  std::set<std::string> changed;
};

// Gives every changed submodule a class of its own and a new object; others that share its class stay as they
// are. The root keeps its type, which owns forward. Types of submodules in the graph, which `paths` knows,
// follow.
void applyEdit(const torch::jit::Module& root, const ModulePaths& paths, const ModuleEdit& edit);

}  // namespace torchsearch
