#include "core/graph/module_buffers.h"

#include <set>
#include <vector>

#include "core/error.h"
#include "core/graph/module_paths.h"

namespace torchsearch {

namespace {

using torch::jit::Module;

class Addition {
 public:
  explicit Addition(const std::map<std::string, at::Tensor>& buffers) {
    for (const auto& [path, tensor] : buffers) {
      const auto dot = path.rfind('.');
      std::string parent = dot == std::string::npos ? "" : path.substr(0, dot);
      added_[parent].emplace_back(dot == std::string::npos ? path : path.substr(dot + 1), tensor);
      for (;;) {
        changed_.insert(parent);
        const auto next = parent.rfind('.');
        if (parent.empty()) break;
        parent = next == std::string::npos ? "" : parent.substr(0, next);
      }
    }
  }

  // The root keeps its type, which owns forward.
  void applyToRoot(Module root) {
    const auto type = root.type();
    const auto object = root._ivalue();
    for (size_t i = 0; i < type->numAttributes(); ++i) {
      const std::string name = type->getAttributeName(i);
      if (changed_.count(name) == 0 || !object->getSlot(i).isModule()) continue;
      const Module child = rebuilt(object->getSlot(i).toModule(), name);
      type->unsafeChangeAttributeType(name, child.type());
      object->setSlot(i, child._ivalue());
    }
    for (const auto& [name, tensor] : added_[""]) root.register_buffer(name, tensor);
    types_[""] = type;
  }

  const std::map<std::string, c10::ClassTypePtr>& types() const { return types_; }

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
      c10::IValue value = module._ivalue()->getSlot(i);
      c10::TypePtr attributeType = type->getAttribute(i);
      if (changed_.count(full) > 0 && value.isModule()) {
        const Module child = rebuilt(value.toModule(), full);
        value = child._ivalue();
        attributeType = child.type();
      }
      own->addAttribute(attribute, attributeType, type->is_parameter(i), type->is_buffer(i));
      values.push_back(std::move(value));
    }
    const auto added = added_.find(path);
    if (added != added_.end()) {
      for (const auto& [attribute, tensor] : added->second) {
        own->addAttribute(attribute, c10::TensorType::get(), /*is_parameter=*/false, /*is_buffer=*/true);
        values.emplace_back(tensor);
      }
    }
    for (size_t i = 0; i < type->numConstants(); ++i) {
      own->addConstant(type->getConstantName(i), type->getConstant(i));
    }
    const auto object = c10::ivalue::Object::create(c10::StrongTypePtr(unit, own), values.size());
    for (size_t i = 0; i < values.size(); ++i) object->setSlot(i, std::move(values[i]));
    types_[path] = own;
    return Module(object);
  }

  std::map<std::string, std::vector<std::pair<std::string, at::Tensor>>> added_;  // by the module's path
  std::set<std::string> changed_;                                                 // modules
  std::map<std::string, c10::ClassTypePtr> types_;                                // of the changed ones
};

}  // namespace

void addBuffers(const Module& module, torch::jit::Graph& graph,
                const std::map<std::string, at::Tensor>& buffers) {
  const ModulePaths paths(graph);
  if (!paths.complete()) {
    throw Error(
        "ERR_EXPORT",
        "The model's forward reaches a submodule in a way that can't be followed, so no buffers can be added "
        "to it. Export without them.");
  }
  Addition addition(buffers);
  addition.applyToRoot(module);
  for (const auto& [value, path] : paths.modules()) {
    const auto type = addition.types().find(path);
    if (type != addition.types().end()) value->setType(type->second);
  }
}

}  // namespace torchsearch
