#include "core/export/module_pruning.h"

#include "core/graph/module_edit.h"
#include "core/graph/module_paths.h"

namespace torchsearch {

namespace {

using torch::jit::Module;

// What becomes of a module.
struct Outcome {
  bool changed = false;
  bool lost = false;   // a tensor went from it or from below it
  bool holds = false;  // tensors stay, or the graph uses something of it
};

class Pruning {
 public:
  Pruning(const std::set<std::string>& tensors, const std::set<std::string>& used)
      : tensors_(tensors), used_(used) {}

  Outcome plan(const Module& module, const std::string& path) {
    Outcome outcome;
    const auto type = module.type();
    for (size_t i = 0; i < type->numAttributes(); ++i) {
      const std::string name = childPath(path, type->getAttributeName(i));
      const c10::IValue value = module._ivalue()->getSlot(i);
      const bool isUsed = used_.count(name) > 0;
      outcome.holds = outcome.holds || isUsed;
      if (value.isModule()) {
        const Outcome child = plan(value.toModule(), name);
        const bool goes = child.lost && !child.holds && !isUsed;
        if (goes) edit_.dropped.insert(name);
        outcome.changed = outcome.changed || child.changed || goes;
        outcome.lost = outcome.lost || child.lost;
        outcome.holds = outcome.holds || child.holds;
      } else if (tensors_.count(name) > 0 && !isUsed) {
        edit_.dropped.insert(name);
        outcome.changed = outcome.lost = true;
      } else if (value.isTensor()) {
        outcome.holds = true;
      }
    }
    if (outcome.changed) edit_.changed.insert(path);
    return outcome;
  }

  const ModuleEdit& edit() const { return edit_; }

 private:
  const std::set<std::string>& tensors_;
  const std::set<std::string>& used_;
  ModuleEdit edit_;
};

}  // namespace

void removeAttributes(const Module& module, torch::jit::Graph& graph, const std::set<std::string>& tensors) {
  const ModulePaths paths(graph);
  if (!paths.complete()) return;
  Pruning pruning(tensors, paths.used());
  pruning.plan(module, "");
  applyEdit(module, paths, pruning.edit());
}

}  // namespace torchsearch
