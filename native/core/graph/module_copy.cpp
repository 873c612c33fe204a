#include "core/graph/module_copy.h"

#include <vector>

namespace torchsearch {

namespace {

void removeMethodsOf(const torch::jit::Module& module, const std::set<std::string>& kept) {
  const auto type = module.type();
  std::vector<std::string> names;
  for (const auto* method : type->methods()) {
    if (kept.count(method->name()) == 0) names.push_back(method->name());
  }
  for (const auto& name : names) type->unsafeRemoveMethod(name);
  for (const auto& child : module.children()) removeMethodsOf(child, {});
}

// The container with its tensors replaced; another one, since copies of a module may share them.
c10::IValue replacedIn(const c10::IValue& value, const TensorReplacements& replacements) {
  if (value.isTensor()) {
    if (!value.toTensor().defined()) return value;
    const auto found = replacements.find(value.toTensor().unsafeGetTensorImpl());
    return found == replacements.end() ? value : c10::IValue(found->second);
  }
  if (value.isTuple()) {
    std::vector<c10::IValue> elements;
    for (const auto& element : value.toTupleRef().elements()) {
      elements.push_back(replacedIn(element, replacements));
    }
    const auto type = value.toTupleRef().type();
    return type->name() ? c10::ivalue::Tuple::createNamed(std::move(elements), type)
                        : c10::ivalue::Tuple::create(std::move(elements));
  }
  if (value.isGenericDict()) {
    auto dict = value.toGenericDict().copy();
    for (const auto& entry : value.toGenericDict()) {
      dict.insert_or_assign(entry.key(), replacedIn(entry.value(), replacements));
    }
    return dict;
  }
  if (!value.isList() || value.isIntList() || value.isDoubleList() || value.isBoolList()) return value;
  auto list = value.toList().copy();
  for (size_t i = 0; i < list.size(); ++i) list.set(i, replacedIn(list.get(i), replacements));
  return list;
}

}  // namespace

void replaceTensors(const torch::jit::Module& module, const TensorReplacements& replacements) {
  const auto object = module._ivalue();
  const auto type = module.type();
  for (size_t i = 0; i < type->numAttributes(); ++i) {
    const c10::IValue value = object->getSlot(i);
    if (value.isModule()) {
      replaceTensors(value.toModule(), replacements);
    } else if (value.isTensor() && value.toTensor().defined()) {
      const auto found = replacements.find(value.toTensor().unsafeGetTensorImpl());
      if (found != replacements.end()) object->setSlot(i, found->second);
    } else if (value.isList() || value.isTuple() || value.isGenericDict()) {
      object->setSlot(i, replacedIn(value, replacements));
    }
  }
}

void removeMethodsBut(const torch::jit::Module& module, const std::set<std::string>& kept) {
  removeMethodsOf(module, kept);
}

}  // namespace torchsearch
