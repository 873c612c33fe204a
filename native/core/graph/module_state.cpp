#include "core/graph/module_state.h"

#include <utility>

#include "core/base/cleanup.h"

namespace torchsearch {

namespace {

// The elements of an expanded dimension are one place in memory: copy_ refuses to write that several times.
at::Tensor onceEach(at::Tensor tensor, const at::Tensor& expanded) {
  for (int64_t d = 0; d < expanded.dim(); ++d) {
    if (expanded.stride(d) == 0 && expanded.size(d) > 1) tensor = tensor.narrow(d, 0, 1);
  }
  return tensor;
}

// False where it can't be told: not every dtype and layout can be compared.
bool isUnchanged(const at::Tensor& tensor, const at::Tensor& contents) {
  try {
    return at::equal(tensor, contents);
  } catch (const c10::Error&) {
    return false;
  }
}

}  // namespace

void restoreContents(const at::Tensor& tensor, const at::Tensor& contents) {
  const at::NoGradGuard noGrad;
  if (!tensor.sizes().equals(contents.sizes())) {
    tensor.set_(contents);  // a forward resized it in place
    return;
  }
  if (tensor.is_meta() || isUnchanged(tensor, contents)) return;
  if (tensor.layout() != at::kStrided) {
    tensor.copy_(contents);
    return;
  }
  onceEach(tensor, tensor).copy_(onceEach(contents, tensor));
}

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
    cleanUp([&] {
      if (attribute.contents.defined()) restoreContents(attribute.value.toTensor(), attribute.contents);
    });
  }
}

}  // namespace torchsearch
