#pragma once

#include <cstdint>
#include <vector>

#include "core/graph/program.h"

namespace torchsearch {

// Which slots of a program may share memory: a tensor and its views, or what an operator may hand on.
class StorageClasses {
 public:
  enum class Branches : uint8_t { kTaken, kAll };

  explicit StorageClasses(const Program& program, Branches branches = Branches::kTaken);

  // The slot that stands for all those that may share memory with this one.
  SlotId of(SlotId slot) const;

 private:
  void join(const Instruction& instruction);

  mutable std::vector<SlotId> parent_;  // union-find
};

// Whether the running statistics of norms count as written; see isRunningStatistic.
enum class Statistics : uint8_t { kWritten, kIgnored };

// The slots whose memory an instruction writes.
std::vector<SlotId> writtenSlots(const Instruction& instruction, Statistics statistics);

}  // namespace torchsearch
