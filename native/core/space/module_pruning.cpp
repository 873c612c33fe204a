#include "core/space/module_pruning.h"

#include <map>
#include <optional>
#include <vector>

#include "core/graph/module_paths.h"

namespace torchsearch {

namespace {

using c10::ClassTypePtr;
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
        if (goes) dropped_.insert(name);
        outcome.changed = outcome.changed || child.changed || goes;
        outcome.lost = outcome.lost || child.lost;
        outcome.holds = outcome.holds || child.holds;
      } else if (tensors_.count(name) > 0 && !isUsed) {
        dropped_.insert(name);
        outcome.changed = outcome.lost = true;
      } else if (value.isTensor()) {
        outcome.holds = true;
      }
    }
    if (outcome.changed) changed_.insert(path);
    return outcome;
  }

  // The root keeps its type, which owns forward.
  void applyToRoot(const Module& root) {
    const auto type = root.type();
    const auto object = root._ivalue();
    for (size_t i = type->numAttributes(); i-- > 0;) {
      const std::string name = type->getAttributeName(i);
      if (dropped_.count(name) > 0) {
        type->unsafeRemoveAttribute(name);
        object->unsafeRemoveSlot(i);
      } else if (changed_.count(name) > 0) {
        const Module child = rebuilt(object->getSlot(i).toModule(), name);
        type->unsafeChangeAttributeType(name, child.type());
        object->setSlot(i, child._ivalue());
      }
    }
    types_[""] = type;
  }

  const std::map<std::string, ClassTypePtr>& types() const { return types_; }

 private:
  Module rebuilt(const Module& module, const std::string& path) {
    const auto type = module.type();
    const auto unit = type->compilation_unit();
    auto name = type->name().value();
    if (unit->get_class(name)) name = unit->mangle(name);
    const auto own = c10::ClassType::create(name, unit, /*is_module=*/true);
    unit->register_type(own);
    std::vector<c10::IValue> values;
    for (size_t i = 0; i < type->numAttributes(); ++i) {
      const std::string& attribute = type->getAttributeName(i);
      const std::string full = childPath(path, attribute);
      if (dropped_.count(full) > 0) continue;
      c10::IValue value = module._ivalue()->getSlot(i);
      c10::TypePtr attributeType = type->getAttribute(i);
      if (changed_.count(full) > 0) {
        const Module child = rebuilt(value.toModule(), full);
        value = child._ivalue();
        attributeType = child.type();
      }
      own->addAttribute(attribute, attributeType, type->is_parameter(i), type->is_buffer(i));
      values.push_back(std::move(value));
    }
    for (size_t i = 0; i < type->numConstants(); ++i) {
      own->addConstant(type->getConstantName(i), type->getConstant(i));
    }
    const auto object = c10::ivalue::Object::create(c10::StrongTypePtr(unit, own), values.size());
    for (size_t i = 0; i < values.size(); ++i) object->setSlot(i, std::move(values[i]));
    types_[path] = own;
    return Module(object);
  }

  const std::set<std::string>& tensors_;
  const std::set<std::string>& used_;
  std::set<std::string> dropped_;              // attributes
  std::set<std::string> changed_;              // modules
  std::map<std::string, ClassTypePtr> types_;  // of those rebuilt
};

}  // namespace

void removeAttributes(const Module& module, torch::jit::Graph& graph, const std::set<std::string>& tensors) {
  const ModulePaths paths(graph);
  if (!paths.complete()) return;
  Pruning pruning(tensors, paths.used());
  pruning.plan(module, "");
  pruning.applyToRoot(module);
  for (const auto& [value, path] : paths.modules()) {
    const auto type = pruning.types().find(path);
    if (type != pruning.types().end()) value->setType(type->second);
  }
}

}  // namespace torchsearch
