#include "core/graph/storage_classes.h"

#include "core/graph/operator_traits.h"

namespace torchsearch {

namespace {

bool isWritten(const c10::Argument& argument) {
  return argument.alias_info() != nullptr && argument.alias_info()->isWrite();
}

}  // namespace

StorageClasses::StorageClasses(const Program& program, Branches branches) {
  parent_.resize(program.slots.size());
  for (size_t slot = 0; slot < parent_.size(); ++slot) parent_[slot] = static_cast<SlotId>(slot);
  for (const auto& instruction : program.instructions) {
    if (instruction.leftOut || instruction.schema == nullptr) continue;
    if (instruction.runs() || branches == Branches::kAll) join(instruction);
  }
}

// Results that are views, or may be, share memory with the arguments.
void StorageClasses::join(const Instruction& instruction) {
  const auto& schema = *instruction.schema;
  const bool passes = traitsOf(schema.name()).mayPassThrough;
  for (size_t r = 0; r < instruction.results.size() && r < schema.returns().size(); ++r) {
    if (!passes && schema.returns()[r].alias_info() == nullptr) continue;
    forEachSlot(instruction.results[r], [&](SlotId result) {
      for (size_t a = 0; a < instruction.arguments.size() && a < schema.arguments().size(); ++a) {
        if (!passes && schema.arguments()[a].alias_info() == nullptr) continue;
        forEachSlot(instruction.arguments[a], [&](SlotId argument) { parent_[of(result)] = of(argument); });
      }
    });
  }
}

SlotId StorageClasses::of(SlotId slot) const {
  while (parent_[slot] != slot) {
    parent_[slot] = parent_[parent_[slot]];
    slot = parent_[slot];
  }
  return slot;
}

std::vector<SlotId> writtenSlots(const Instruction& instruction, Statistics statistics) {
  std::vector<SlotId> slots;
  if (instruction.schema == nullptr) return slots;
  const auto& schema = *instruction.schema;
  for (size_t a = 0; a < instruction.arguments.size() && a < schema.arguments().size(); ++a) {
    const auto& argument = schema.arguments()[a];
    const bool updated = statistics == Statistics::kWritten && isRunningStatistic(schema, argument);
    if (!updated && !isWritten(argument)) continue;
    forEachSlot(instruction.arguments[a], [&](SlotId slot) { slots.push_back(slot); });
  }
  return slots;
}

}  // namespace torchsearch
