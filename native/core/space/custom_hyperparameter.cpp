#include "core/space/custom_hyperparameter.h"

#include <algorithm>
#include <tuple>

namespace torchsearch {

namespace {

bool precedes(const ArgumentOverride& a, const ArgumentOverride& b) {
  return std::tie(a.instruction, a.argument) < std::tie(b.instruction, b.argument);
}

// Where a block is left out, something else may stand for an operator.
bool isCallOf(const Instruction& instruction, const GraphConstant& constant) {
  return instruction.node == constant.node && instruction.schema != nullptr &&
         instruction.schema->name() == constant.op;
}

}  // namespace

bool CustomHyperparameter::changes(const Program& program, const Instruction& instruction) const {
  if (!instruction.runs()) return false;
  if (tensor.empty()) {
    return std::any_of(constants.begin(), constants.end(),
                       [&](const GraphConstant& constant) { return isCallOf(instruction, constant); });
  }
  bool reads = false;
  for (const auto& argument : instruction.arguments) {
    forEachSlot(argument, [&](SlotId slot) {
      reads = reads || (program.slots[slot].isStored() && program.slots[slot].name == tensor);
    });
  }
  return reads;
}

at::Tensor CustomChoice::tensorFor(const Slot& slot, const at::Tensor& own) const {
  for (size_t c = 0; c < positions_.size(); ++c) {
    const auto& custom = *(*all_)[c];
    if (custom.tensor.empty() || custom.tensor != slot.name || positions_[c] == custom.own()) continue;
    return custom.tensors[positions_[c]].to(own.device());
  }
  return own;
}

std::vector<ArgumentOverride> CustomChoice::numbersFor(const Program& program) const {
  std::vector<ArgumentOverride> overrides;
  for (size_t c = 0; c < positions_.size(); ++c) {
    const auto& custom = *(*all_)[c];
    if (positions_[c] == custom.own()) continue;
    for (const auto& constant : custom.constants) {
      for (size_t i = 0; i < program.instructions.size(); ++i) {
        if (!isCallOf(program.instructions[i], constant)) continue;
        overrides.push_back(
            {static_cast<int32_t>(i), constant.position, constant.valueOf(custom.numbers[positions_[c]])});
      }
    }
  }
  std::sort(overrides.begin(), overrides.end(), precedes);
  return overrides;
}

std::vector<ArgumentOverride> mergedOverrides(std::vector<ArgumentOverride> first,
                                              const std::vector<ArgumentOverride>& extra) {
  if (extra.empty()) return first;
  first.insert(first.end(), extra.begin(), extra.end());
  std::stable_sort(first.begin(), first.end(), precedes);
  return first;
}

}  // namespace torchsearch
