#include "core/graph/module_state.h"

#include <utility>

#include "core/base/cleanup.h"

namespace torchsearch {

ModuleState::ModuleState(const torch::jit::Module& module) {
  const at::NoGradGuard noGrad;
  std::unordered_set<const c10::ivalue::Object*> seen;
  remember(module, seen);
}

void ModuleState::remember(const torch::jit::Module& module,
                           std::unordered_set<const c10::ivalue::Object*>& seen) {
  const auto object = module._ivalue();
  if (!seen.insert(object.get()).second) return;
  const auto type = module.type();
  for (size_t i = 0; i < type->numAttributes(); ++i) {
    c10::IValue value = object->getSlot(i);
    if (value.isModule()) {
      remember(value.toModule(), seen);
    } else if (!type->is_parameter(i)) {
      at::Tensor contents;
      if (value.isTensor() && value.toTensor().defined()) contents = value.toTensor().detach().clone();
      attributes_.push_back({object, i, std::move(value), std::move(contents)});
    }
  }
}

ModuleState::~ModuleState() {
  const at::NoGradGuard noGrad;
  for (auto& attribute : attributes_) {
    cleanUp([&] { attribute.object->setSlot(attribute.slot, attribute.value); });
    // A buffer that forward gave another shape, or whose elements share memory, can't be written back.
    cleanUp([&] {
      if (!attribute.contents.defined()) return;
      const at::Tensor buffer = attribute.value.toTensor().detach();
      if (!at::equal(buffer, attribute.contents)) buffer.copy_(attribute.contents);
    });
  }
}

}  // namespace torchsearch
