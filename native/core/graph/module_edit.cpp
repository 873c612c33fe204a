#include "core/graph/module_edit.h"

namespace torchsearch {

namespace {

using c10::ClassTypePtr;
using torch::jit::Module;

class Rebuild {
 public:
  explicit Rebuild(const ModuleEdit& edit) : edit_(edit) {}

  void applyToRoot(Module root) {
    const auto type = root.type();
    const auto object = root._ivalue();
    for (size_t i = type->numAttributes(); i-- > 0;) {
      const std::string name = type->getAttributeName(i);
      if (edit_.dropped.count(name) > 0) {
        type->unsafeRemoveAttribute(name);
        object->unsafeRemoveSlot(i);
      } else if (edit_.changed.count(name) > 0 && object->getSlot(i).isModule()) {
        const Module child = rebuilt(object->getSlot(i).toModule(), name);
        type->unsafeChangeAttributeType(name, child.type());
        object->setSlot(i, child._ivalue());
      }
    }
    const auto added = edit_.added.find("");
    if (added != edit_.added.end()) {
      for (const auto& [name, tensor] : added->second) root.register_buffer(name, tensor);
    }
    types_[""] = type;
  }

  // By path, of the root and of what was rebuilt.
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
      if (edit_.dropped.count(full) > 0) continue;
      c10::IValue value = module._ivalue()->getSlot(i);
      c10::TypePtr attributeType = type->getAttribute(i);
      if (edit_.changed.count(full) > 0 && value.isModule()) {
        const Module child = rebuilt(value.toModule(), full);
        value = child._ivalue();
        attributeType = child.type();
      }
      own->addAttribute(attribute, attributeType, type->is_parameter(i), type->is_buffer(i));
      values.push_back(std::move(value));
    }
    const auto added = edit_.added.find(path);
    if (added != edit_.added.end()) {
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

  const ModuleEdit& edit_;
  std::map<std::string, ClassTypePtr> types_;
};

}  // namespace

void applyEdit(const Module& root, const ModulePaths& paths, const ModuleEdit& edit) {
  Rebuild rebuild(edit);
  rebuild.applyToRoot(root);
  for (const auto& [value, path] : paths.modules()) {
    const auto type = rebuild.types().find(path);
    if (type != rebuild.types().end()) value->setType(type->second);
  }
}

}  // namespace torchsearch
