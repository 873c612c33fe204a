#include "core/graph/module_copy.h"

#include <string>
#include <vector>

namespace torchsearch {

namespace {

void removeMethodsOf(const torch::jit::Module& module, bool isRoot) {
  const auto type = module.type();
  std::vector<std::string> names;
  for (const auto* method : type->methods()) {
    if (!isRoot || method->name() != "forward") names.push_back(method->name());
  }
  for (const auto& name : names) type->unsafeRemoveMethod(name);
  for (const auto& child : module.children()) removeMethodsOf(child, false);
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
    }
  }
}

void removeMethods(const torch::jit::Module& module) {
  removeMethodsOf(module, true);
}

}  // namespace torchsearch
