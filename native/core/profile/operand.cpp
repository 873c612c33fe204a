#include "core/profile/operand.h"

#include "core/base/error.h"

namespace torchsearch {

std::vector<DimensionReference> Operand::dimensions(int64_t begin, int64_t end) const {
  const int64_t last = end < 0 || (end == 0 && begin < 0) ? end + rank() : end;
  std::vector<DimensionReference> references;
  for (int64_t dimension = wrap(begin); dimension < last; ++dimension) references.push_back(at(dimension));
  return references;
}

const ValueTree& Operands::argument(const char* name) const {
  const auto index = instruction_.schema->argumentIndexWithName(name);
  TORCH_CHECK(index.has_value(), instruction_.schema->name(), " has no argument ", name);
  return instruction_.arguments.at(*index);
}

Operand Operands::operand(const ValueTree& tree) const {
  TORCH_CHECK(tree.isSlot(), instruction_.schema->name(), " has no tensor where its cost rule expects one");
  return {tree.slot, program_.slots[tree.slot].sizes};
}

std::vector<Operand> Operands::tensors(const char* name) const {
  std::vector<Operand> operands;
  for (const auto& child : argument(name).children) operands.push_back(operand(child));
  return operands;
}

std::vector<int64_t> Operands::integers(const char* name) const {
  if (!has(name)) return {};
  const auto& constant = argument(name).constant;
  return constant.isIntList() ? constant.toIntVector() : std::vector<int64_t>();
}

}  // namespace torchsearch
