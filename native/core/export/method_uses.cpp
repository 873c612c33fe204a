#include "core/export/method_uses.h"

#include <unordered_set>

#include "core/forward/executor.h"

namespace torchsearch {

std::string methodUses(const ExtraMethod& method, const torch::jit::Module& module, const Program& program,
                       const std::vector<bool>& changed) {
  if (!method.isKnown) return "its calls";
  // A shared tensor has several names.
  const auto values = bindModule(program, module).values;
  std::unordered_set<const c10::TensorImpl*> tensors;
  for (size_t slot = 0; slot < changed.size(); ++slot) {
    if (changed[slot]) tensors.insert(values[slot].unsafeGetTensorImpl());
  }
  std::string found;
  const auto visit = [&](const std::string& name, const at::Tensor& tensor) {
    const bool hit = method.used.count(name) > 0 && tensors.count(tensor.unsafeGetTensorImpl()) > 0;
    if (found.empty() && hit) found = name;
  };
  for (const auto& item : module.named_parameters()) visit(item.name, item.value);
  for (const auto& item : module.named_buffers()) visit(item.name, item.value);
  return found;
}

}  // namespace torchsearch
