#include "core/graph/rules/rule.h"

namespace torchsearch {

void collectSlots(const ValueTree& tree, std::vector<SlotId>& slots) {
  if (tree.isSlot()) slots.push_back(tree.slot);
  for (const auto& child : tree.children) collectSlots(child, slots);
}

std::vector<SlotId> tensorArguments(const Instruction& instruction) {
  std::vector<SlotId> slots;
  for (const auto& argument : instruction.arguments) collectSlots(argument, slots);
  return slots;
}

std::vector<SlotId> tensorResults(const Instruction& instruction) {
  std::vector<SlotId> slots;
  for (const auto& result : instruction.results) collectSlots(result, slots);
  return slots;
}

void keepWhole(const Rule& rule) {
  for (const SlotId slot : tensorArguments(rule.instruction)) rule.analysis.fixSlot(slot, rule.reason);
  std::vector<SlotId> results;
  for (const auto& tree : rule.instruction.results) collectSlots(tree, results);
  for (const SlotId slot : results) {
    rule.analysis.fixSlot(slot, rule.reason);
    rule.labels(slot).assign(rule.sizes(slot).size(), Labels());
  }
}

}  // namespace torchsearch
