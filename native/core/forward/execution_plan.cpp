#include "core/forward/execution_plan.h"

#include <utility>

namespace torchsearch {

ExecutionPlan::ExecutionPlan(std::shared_ptr<const Program> program)
    : program_(std::move(program)), storage_(*program_) {
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
    if (!instruction.runs()) continue;
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
  lastWrite_.assign(program_->slots.size(), -1);
  for (int32_t index = 0; index < instructionCount(); ++index) {
    const auto& instruction = program_->instructions[index];
    if (!instruction.runs()) continue;
    for (const SlotId slot : writtenSlots(instruction, Statistics::kWritten)) {
      lastWrite_[storage_.of(slot)] = index;
    }
  }
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
  return lastWrite_[storage_.of(slot)] >= instruction;
}

}  // namespace torchsearch
