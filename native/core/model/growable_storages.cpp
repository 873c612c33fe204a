#include "core/model/growable_storages.h"

#include <torch/csrc/jit/api/function_impl.h>

namespace torchsearch {
namespace {

void makeGrowable(const at::Tensor& tensor) {
  if (!tensor.defined() || !tensor.has_storage() || !tensor.device().is_cpu()) return;
  c10::StorageImpl& storage = *tensor.storage().unsafeGetStorageImpl();
  if (storage.resizable()) return;
  storage.set_allocator(c10::GetAllocator(c10::kCPU));
  storage.set_resizable(true);
}

void makeGrowable(const c10::IValue& value) {
  value.visit([](const c10::IValue& inner) {
    if (inner.isTensor()) makeGrowable(inner.toTensor());
    return false;
  });
}

void makeGrowable(const torch::jit::Block& block) {
  for (const torch::jit::Node* node : block.nodes()) {
    if (node->kind() == torch::jit::prim::Constant && node->hasAttribute(torch::jit::attr::value)) {
      const auto kind = node->kindOf(torch::jit::attr::value);
      if (kind == torch::jit::AttributeKind::t) makeGrowable(node->t(torch::jit::attr::value));
      if (kind == torch::jit::AttributeKind::ival) makeGrowable(node->ival(torch::jit::attr::value));
    }
    for (const torch::jit::Block* inner : node->blocks()) makeGrowable(*inner);
    for (const c10::Symbol attribute : node->attributeNames()) {
      if (node->kindOf(attribute) == torch::jit::AttributeKind::g) makeGrowable(*node->g(attribute)->block());
    }
  }
}

}  // namespace

void makeStoragesGrowable(const torch::jit::Module& module) {
  makeGrowable(c10::IValue(module._ivalue()));
  for (torch::jit::Function* function : module._ivalue()->compilation_unit()->get_functions()) {
    if (auto* code = torch::jit::tryToGraphFunction(*function)) makeGrowable(*code->graph()->block());
  }
}

}  // namespace torchsearch
