#include "core/forward/execution_plan.h"

#include <algorithm>
#include <array>
#include <string_view>
#include <utility>

namespace torchsearch {

namespace {

// Operators that may hand their argument on, although their schemas do not say so.
bool mayPassThrough(std::string_view name) {
  static constexpr std::array<std::string_view, 12> kNames = {
      "aten::dropout",    "aten::alpha_dropout", "aten::feature_dropout",   "aten::feature_alpha_dropout",
      "aten::type_as",    "aten::einsum",        "aten::broadcast_tensors", "aten::meshgrid",
      "aten::atleast_1d", "aten::atleast_2d",    "aten::atleast_3d",        "aten::pixel_shuffle"};
  return std::find(kNames.begin(), kNames.end(), name) != kNames.end();
}

bool isWritten(const c10::Argument& argument) {
  return argument.alias_info() != nullptr && argument.alias_info()->isWrite();
}

}  // namespace

ExecutionPlan::ExecutionPlan(std::shared_ptr<const Program> program) : program_(std::move(program)) {
  findLifetimes();
  findWrites();
}

void ExecutionPlan::findLifetimes() {
  const auto& slots = program_->slots;
  const int32_t count = instructionCount();
  firstDefinition_.assign(slots.size(), -1);
  lastUse_.assign(slots.size(), -1);
  for (int32_t index = 0; index < count; ++index) {
    const auto& instruction = program_->instructions[index];
    if (instruction.speculative) continue;
    for (const auto& argument : instruction.arguments) {
      forEachSlot(argument, [&](SlotId slot) { lastUse_[slot] = index; });
    }
    for (const auto& result : instruction.results) {
      forEachSlot(result, [&](SlotId slot) {
        if (slots[slot].kind == Slot::Kind::kResult && lastUse_[slot] < 0 && firstDefinition_[slot] < 0) {
          firstDefinition_[slot] = index;
        }
        lastUse_[slot] = index;
      });
    }
  }
  forEachSlot(program_->output, [&](SlotId slot) { lastUse_[slot] = count; });

  std::vector<std::vector<SlotId>> byInstruction(count);
  for (SlotId slot = 0; slot < static_cast<SlotId>(slots.size()); ++slot) {
    const auto kind = slots[slot].kind;
    if (kind != Slot::Kind::kResult && kind != Slot::Kind::kInput) continue;
    if (lastUse_[slot] >= 0 && lastUse_[slot] < count) byInstruction[lastUse_[slot]].push_back(slot);
  }
  releasedStart_.reserve(count + 1);
  for (const auto& group : byInstruction) {
    releasedStart_.push_back(released_.size());
    released_.insert(released_.end(), group.begin(), group.end());
  }
  releasedStart_.push_back(released_.size());
}

void ExecutionPlan::findWrites() {
  storage_.resize(program_->slots.size());
  for (SlotId slot = 0; slot < static_cast<SlotId>(storage_.size()); ++slot) storage_[slot] = slot;
  lastWrite_.assign(storage_.size(), -1);

  // Operators that give a view, or may: their results share memory with their arguments.
  for (const auto& instruction : program_->instructions) {
    if (instruction.speculative || instruction.schema == nullptr) continue;
    const auto& schema = *instruction.schema;
    const bool passes = mayPassThrough(schema.name());
    for (size_t r = 0; r < instruction.results.size() && r < schema.returns().size(); ++r) {
      if (!passes && schema.returns()[r].alias_info() == nullptr) continue;
      forEachSlot(instruction.results[r], [&](SlotId result) {
        for (size_t a = 0; a < instruction.arguments.size() && a < schema.arguments().size(); ++a) {
          if (!passes && schema.arguments()[a].alias_info() == nullptr) continue;
          forEachSlot(instruction.arguments[a],
                      [&](SlotId argument) { storage_[storageOf(result)] = storageOf(argument); });
        }
      });
    }
  }
  for (int32_t index = 0; index < instructionCount(); ++index) {
    const auto& instruction = program_->instructions[index];
    if (instruction.speculative || instruction.schema == nullptr) continue;
    const auto& schema = *instruction.schema;
    // Batch and instance norm update their statistics without their schemas saying so.
    const bool updatesStatistics = schema.name().find("_norm") != std::string::npos;
    for (size_t a = 0; a < instruction.arguments.size() && a < schema.arguments().size(); ++a) {
      const auto& argument = schema.arguments()[a];
      const bool statistic = updatesStatistics && argument.name().rfind("running_", 0) == 0;
      if (!statistic && !isWritten(argument)) continue;
      forEachSlot(instruction.arguments[a], [&](SlotId slot) { lastWrite_[storageOf(slot)] = index; });
    }
  }
}

SlotId ExecutionPlan::storageOf(SlotId slot) const {
  while (storage_[slot] != slot) {
    storage_[slot] = storage_[storage_[slot]];
    slot = storage_[slot];
  }
  return slot;
}

c10::ArrayRef<SlotId> ExecutionPlan::releasedAfter(int32_t instruction) const {
  const size_t begin = releasedStart_[instruction];
  return {released_.data() + begin, releasedStart_[instruction + 1] - begin};
}

std::vector<SlotId> ExecutionPlan::liveSlotsAt(int32_t instruction) const {
  std::vector<SlotId> live;
  for (SlotId slot = 0; slot < static_cast<SlotId>(program_->slots.size()); ++slot) {
    const auto kind = program_->slots[slot].kind;
    if (kind != Slot::Kind::kResult && kind != Slot::Kind::kInput) continue;
    const bool made =
        kind == Slot::Kind::kInput || (firstDefinition_[slot] >= 0 && firstDefinition_[slot] < instruction);
    if (made && lastUse_[slot] >= instruction) live.push_back(slot);
  }
  return live;
}

bool ExecutionPlan::writtenFrom(SlotId slot, int32_t instruction) const {
  return lastWrite_[storageOf(slot)] >= instruction;
}

}  // namespace torchsearch
