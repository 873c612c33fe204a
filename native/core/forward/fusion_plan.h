#pragma once

#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "core/forward/execution_plan.h"
#include "core/forward/fused_chain.h"
#include "core/forward/relayout_plan.h"

namespace torchsearch {

// Whether batch norms, in evaluation mode, become part of what is before them, or stay as they are: for runs
// in which they compute their statistics.
enum class Norms : uint8_t { kFolded, kKept };

// What of a program could run fused, whatever weights it is given. Immutable.
class FusionPlan {
 public:
  explicit FusionPlan(std::shared_ptr<const ExecutionPlan> plan, Norms norms = Norms::kFolded);

  const ExecutionPlan& execution() const { return *plan_; }
  const std::vector<FusedChain>& chains() const { return chains_; }  // ascending by anchor

  // The tensors to bring back to the layout that they had when recorded. Ascending by instruction.
  const std::vector<Relayout>& relayouts() const { return layouts_.relayouts; }
  // Whether a fused chain must give its result in the recorded layout, because views of it are written later.
  bool keepsLayout(const FusedChain& chain) const { return layouts_.pinned[storage_.of(chain.result)]; }

  // Whether a slot that holds a parameter, buffer or constant keeps its value while the program runs.
  bool isFixed(SlotId slot) const;
  size_t useCount(SlotId slot) const { return uses_[slot].size(); }  // instructions, and the output

 private:
  void findUses();
  void findWrites();
  void findChains();
  bool canBeFused(const FusedChain& anchor) const;
  void grow(FusedChain& chain) const;
  bool absorbNorm(FusedChain& chain, int32_t at, SlotId current) const;
  bool absorbAddition(FusedChain& chain, int32_t at, SlotId current) const;
  bool absorbActivation(FusedChain& chain, int32_t at, SlotId current) const;
  int32_t nextUse(SlotId slot, int32_t after) const;

  std::shared_ptr<const ExecutionPlan> plan_;
  Norms norms_;
  StorageClasses storage_;
  std::vector<std::vector<int32_t>> uses_;    // by slot: instructions that read it; the count for the output
  std::vector<int32_t> producer_;             // by slot: the instruction that makes it; -1 for none
  std::vector<std::vector<int32_t>> writes_;  // by representative of storage_
  std::vector<FusedChain> chains_;
  std::vector<int32_t> chainOf_;  // by instruction: index in chains_, or -1
  RelayoutPlan layouts_;
};

}  // namespace torchsearch
