#pragma once

#include <cstdint>
#include <vector>

#include "core/graph/dependency.h"
#include "core/graph/residual_blocks.h"
#include "core/hash/digest.h"
#include "core/profile/operator_cost.h"
#include "core/space/custom_hyperparameter.h"

namespace torchsearch {

// What is selected of one recorded program.
struct ProgramSubnet {
  std::vector<int64_t> widths;  // by group
  std::vector<bool> kept;       // by residual block of that program
  std::vector<int64_t> custom;  // by custom hyperparameter: the position of its choice
};

// A batch norm whose running statistics can be computed anew.
struct TrackedNorm {
  int32_t instruction = 0;
  SlotId mean = kNoSlot;
  SlotId variance = kNoSlot;
};

// Tells up to which instruction two subnets compute the same on the same inputs and weights, and before which
// instructions a run may be interrupted and resumed.
class PrefixAnalysis {
 public:
  // `blocks` are those of the dependencies' program.
  PrefixAnalysis(const Dependencies& dependencies, const ResidualBlocks& blocks);

  // From now on subnets may also differ in these.
  void distinguish(const CustomHyperparameters& customs);

  int32_t instructionCount() const { return static_cast<int32_t>(instructions_.size()); }

  // By instruction: whether it runs in the subnet. The addition of a block that is left out does not, even
  // where a copy stands for it.
  std::vector<bool> running(const ProgramSubnet& subnet) const;

  // The first instruction that runs in one of them only, or with weights or arguments of other sizes; the
  // number of instructions when there is none.
  int32_t firstDifference(const ProgramSubnet& a, const ProgramSubnet& b) const;

  // By instruction, and one past the last: the digest of all that decides what runs before it. Equal for two
  // subnets up to their first difference, and for that instruction itself.
  std::vector<Digest> digests(const ProgramSubnet& subnet) const;

  // Whether what runs before the instruction leaves nothing behind but its results and the norms' statistics,
  // and draws no random numbers.
  bool mayResumeAt(int32_t instruction) const;

  const std::vector<TrackedNorm>& norms() const { return norms_; }

  // By instruction, and one past the last: multiply-adds of a subnet before it.
  std::vector<double> multiplyAddsBefore(const ProgramSubnet& subnet) const;
  // Likewise, the share of the whole model's; where it has none, of its instructions.
  double workBefore(int32_t instruction) const { return work_[instruction]; }

 private:
  struct Step {
    bool runs = false;
    std::vector<int32_t> groups;   // whose widths its arguments or results follow, ascending
    std::vector<int32_t> customs;  // that it computes with, ascending
    std::vector<CostTerm> cost;
    const Condition* condition = nullptr;  // null: always
    int32_t block = -1;                    // whose addition it is
  };

  bool runs(const Step& step, const ProgramSubnet& subnet) const;
  void findGroups(const Dependencies& dependencies);
  void findNorms(const Program& program);
  void findLimit(const Program& program);

  const Dependencies* dependencies_;
  std::vector<Step> instructions_;
  std::vector<TrackedNorm> norms_;
  std::vector<std::pair<int32_t, int32_t>> uninterrupted_;  // first and last use of shared statistics
  int32_t limit_ = 0;                                       // no resuming after this instruction
  std::vector<double> work_;
};

}  // namespace torchsearch
