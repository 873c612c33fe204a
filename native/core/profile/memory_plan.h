#pragma once

#include <cstdint>
#include <unordered_map>
#include <vector>

#include "core/graph/liveness.h"
#include "core/graph/program.h"
#include "core/graph/residual_blocks.h"

namespace torchsearch {

// Which tensors of a forward are in memory together, as PyTorch's interpreter of TorchScript holds them: an
// input and a constant from beginning to end, a result from the operator that makes it to the last one that
// reads it or a view of it. What operators need for themselves while they run is not counted.
class MemoryPlan {
 public:
  // `blocks` are those of the program; none when it is always whole.
  MemoryPlan(const Program& program, const ResidualBlocks& blocks);

  // The slots with memory of their own; the others are views of them, or of parameters and buffers, which are
  // not counted.
  const std::vector<SlotId>& owners() const { return owners_; }

  // Results, each with the slot that it is a view of although the plan has memory for it.
  using Views = std::unordered_map<SlotId, SlotId>;

  // The largest sum that is in memory at a time. `bytes` by place in `owners`, `kept` by block.
  double peak(const std::vector<double>& bytes, const std::vector<bool>& kept, const Views& views = {}) const;

 private:
  static constexpr int32_t kNothing = -1;

  struct Result {
    SlotId slot;
    SlotId viewOf;  // kNoSlot for memory of its own
  };
  struct Step {
    int32_t condition = 0;  // in conditions_
    std::vector<SlotId> reads;
    std::vector<Result> results;  // new tensors
    int32_t block = kNothing;     // whose addition it is
  };
  struct Question {
    SlotId slot;
    int32_t before;  // a step
    int32_t condition;
  };
  struct Addition {
    SlotId sum, kept;
    bool copies;        // what stands for the sum, when the block is left out, has memory of its own
    int32_t condition;  // when something must stand for it
  };

  // By place in owners_: the steps that make a result, and that read it last; kNothing for one that is not
  // made.
  struct Lifetimes {
    std::vector<int32_t> first, last;
  };

  Lifetimes lifetimes(const std::vector<bool>& kept, const Views& views) const;
  int32_t conditionOf(const Condition& condition);
  void own(SlotId slot, bool permanent);

  std::vector<Condition> conditions_;
  std::vector<Step> steps_;
  std::vector<Question> questions_;  // by step
  std::vector<Addition> additions_;  // by block
  std::vector<SlotId> output_;
  std::vector<SlotId> owners_;
  std::vector<int32_t> place_;   // by slot: in owners_, or kNothing
  std::vector<bool> permanent_;  // by place: inputs and constants
};

}  // namespace torchsearch
