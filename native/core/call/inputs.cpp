#include "core/call/inputs.h"

namespace torchsearch {

Inputs copied(const Inputs& inputs) {
  const auto copy = [](const c10::IValue& value) { return value.deepcopy(); };
  Inputs result;
  for (const auto& value : inputs.args) result.args.push_back(copy(value));
  for (const auto& [name, value] : inputs.kwargs) result.kwargs.emplace(name, copy(value));
  return result;
}

}  // namespace torchsearch
