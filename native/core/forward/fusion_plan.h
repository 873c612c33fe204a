#pragma once

#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "core/forward/execution_plan.h"

namespace torchsearch {

// An elementwise function at the end of a chain.
struct PostActivation {
  enum class Kind : uint8_t {
    kNone,
    kRelu,
    kClamp,      // hardtanh, relu6: to [low, high]
    kLeakyRelu,  // slope `low`
    kHardswish,
    kHardsigmoid,
    kSilu,
    kSigmoid,
    kTanh,
    kGelu,
    kGeluTanh,
  };
  Kind kind = Kind::kNone;
  double low = 0;
  double high = 0;
};

// A convolution or linear layer and what follows it and can be computed with it: a batch norm in evaluation
// mode, the addition of a tensor that exists by then, an activation. It runs in place of its first
// instruction, the anchor; the absorbed ones do nothing then.
struct FusedChain {
  enum class Kind : uint8_t { kConvolution, kLinear };
  struct BatchNorm {
    SlotId weight = kNoSlot;
    SlotId bias = kNoSlot;
    SlotId mean = kNoSlot;
    SlotId variance = kNoSlot;
    double epsilon = 0;
  };

  Kind kind = Kind::kConvolution;
  int32_t anchor = -1;
  std::vector<int32_t> absorbed;  // ascending
  SlotId input = kNoSlot;
  SlotId weight = kNoSlot;
  SlotId bias = kNoSlot;
  SlotId product = kNoSlot;  // the anchor's own result
  SlotId result = kNoSlot;   // the chain's
  bool normalized = false;
  BatchNorm norm;
  SlotId other = kNoSlot;  // added
  PostActivation activation;

  std::vector<int64_t> stride;  // of a convolution, as are those below
  std::vector<int64_t> padding;
  std::vector<int64_t> dilation;
  int64_t groups = 1;
  int32_t groupsArgument = -1;

  int32_t last() const { return absorbed.empty() ? anchor : absorbed.back(); }
};

// How a tensor lay in memory when it was recorded.
enum class Layout : uint8_t { kContiguous, kChannelsLast, kOther };

// Whether batch norms, in evaluation mode, become part of what is before them, or stay as they are: for runs
// in which they compute their statistics.
enum class Norms : uint8_t { kFolded, kKept };

// What of a program could run fused, whatever weights it is given. Immutable.
class FusionPlan {
 public:
  explicit FusionPlan(std::shared_ptr<const ExecutionPlan> plan, Norms norms = Norms::kFolded);

  const ExecutionPlan& execution() const { return *plan_; }
  const std::vector<FusedChain>& chains() const { return chains_; }  // ascending by anchor

  // Fused convolutions give their results in channels-last order, which most operators take and pass on.
  // Those that look at how memory is laid out (views) get what they got when recorded: the tensors to bring
  // back to this layout before an instruction.
  struct Relayout {
    int32_t instruction = 0;
    SlotId slot = kNoSlot;
    Layout layout = Layout::kContiguous;
  };
  const std::vector<Relayout>& relayouts() const { return relayouts_; }  // ascending by instruction

  // Whether a fused chain must give its result in the recorded layout, because views of it are written later.
  bool keepsLayout(const FusedChain& chain) const;
  Layout recordedLayout(SlotId slot) const;

  // Whether a slot that holds a parameter, buffer or constant keeps its value while the program runs.
  bool isFixed(SlotId slot) const;
  size_t useCount(SlotId slot) const { return uses_[slot].size(); }  // instructions, and the output

 private:
  void findUses();
  void findWrites();
  void findChains();
  void grow(FusedChain& chain) const;
  bool absorbNorm(FusedChain& chain, int32_t at, SlotId current) const;
  bool absorbAddition(FusedChain& chain, int32_t at, SlotId current) const;
  bool absorbActivation(FusedChain& chain, int32_t at, SlotId current) const;
  int32_t nextUse(SlotId slot, int32_t after) const;
  void findRelayouts();
  bool tryRelayouts();

  std::shared_ptr<const ExecutionPlan> plan_;
  Norms norms_;
  StorageClasses storage_;
  std::vector<std::vector<int32_t>> uses_;    // by slot: instructions that read it; the count for the output
  std::vector<int32_t> producer_;             // by slot: the instruction that makes it; -1 for none
  std::vector<std::vector<int32_t>> writes_;  // by representative of storage_
  std::vector<FusedChain> chains_;
  std::vector<int32_t> chainOf_;  // by instruction: index in chains_, or -1
  std::vector<Relayout> relayouts_;
  std::vector<bool> pinned_;  // by representative of storage_: keeps its recorded layout
};

}  // namespace torchsearch
