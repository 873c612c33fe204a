#include "core/graph/module_buffers.h"

#include "core/base/error.h"
#include "core/graph/module_edit.h"
#include "core/graph/module_paths.h"

namespace torchsearch {

namespace {

// The buffers by the module's path, and every module on the way to one.
ModuleEdit additionOf(const std::map<std::string, at::Tensor>& buffers) {
  ModuleEdit edit;
  for (const auto& [path, tensor] : buffers) {
    const auto dot = path.rfind('.');
    std::string parent = dot == std::string::npos ? "" : path.substr(0, dot);
    edit.added[parent].emplace_back(dot == std::string::npos ? path : path.substr(dot + 1), tensor);
    for (;;) {
      edit.changed.insert(parent);
      const auto next = parent.rfind('.');
      if (parent.empty()) break;
      parent = next == std::string::npos ? "" : parent.substr(0, next);
    }
  }
  return edit;
}

}  // namespace

void addBuffers(const torch::jit::Module& module, torch::jit::Graph& graph,
                const std::map<std::string, at::Tensor>& buffers) {
  const ModulePaths paths(graph);
  if (!paths.complete()) {
    throw Error(
        "ERR_EXPORT",
        "The model's forward reaches a submodule in a way that can't be followed, so no buffers can be added "
        "to it. Export without them.");
  }
  applyEdit(module, paths, additionOf(buffers));
}

}  // namespace torchsearch
