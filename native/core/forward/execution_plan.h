#pragma once

#include <torch/script.h>

#include <cstdint>
#include <memory>
#include <vector>

#include "core/graph/program.h"
#include "core/graph/storage_classes.h"

namespace torchsearch {

// What of a program stays the same over all runs: which instructions run, when a slot's tensor may be
// dropped, and what is written in place. Immutable, so any number of executors may share one.
class ExecutionPlan {
 public:
  explicit ExecutionPlan(std::shared_ptr<const Program> program);

  const Program& program() const { return *program_; }
  const std::shared_ptr<const Program>& shared() const { return program_; }
  int32_t instructionCount() const { return static_cast<int32_t>(program_->instructions.size()); }

  // Slots whose tensors no later instruction reads, once `instruction` has run.
  c10::ArrayRef<SlotId> releasedAfter(int32_t instruction) const;

  // The tensors that a run from `instruction` on needs beside the bound ones: inputs and results that were
  // made before it and are read from it on, or returned. Ascending.
  std::vector<SlotId> liveSlotsAt(int32_t instruction) const;

  // Whether an instruction from `instruction` on may write the slot's memory, also through a view of it.
  bool writtenFrom(SlotId slot, int32_t instruction) const;

 private:
  void findLifetimes();
  void findWrites();

  std::shared_ptr<const Program> program_;
  std::vector<int32_t> firstDefinition_;  // by slot: -1 for what exists before the first instruction
  std::vector<int32_t> lastUse_;       // by slot: instructionCount() for what is returned, -1 when never used
  std::vector<SlotId> released_;       // grouped by instruction
  std::vector<size_t> releasedStart_;  // by instruction, and one past the last
  StorageClasses storage_;
  std::vector<int32_t> lastWrite_;  // by representative of storage_
};

}  // namespace torchsearch
