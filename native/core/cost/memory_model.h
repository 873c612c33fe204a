#pragma once

#include <cstdint>
#include <vector>

#include "core/graph/dependency.h"
#include "core/graph/residual_blocks.h"
#include "core/graph/size_form.h"
#include "core/profile/memory_plan.h"

namespace torchsearch {

// A result that has memory of its own in the full model, and is a view of an argument of its operator where
// all of some dimensions are one.
struct NarrowView {
  SlotId result = kNoSlot;
  SlotId viewOf = kNoSlot;
  std::vector<SizeForm> ones;
};

// The memory of any subnet's inputs, constants and activations, at its peak in a forward.
class MemoryModel {
 public:
  MemoryModel(const Dependencies& dependencies, const ResidualBlocks& blocks, std::vector<NarrowView> views);

  // Bytes. `widths` by group, `kept` by block.
  double at(const std::vector<int64_t>& widths, const std::vector<bool>& kept) const;

 private:
  // coefficient x the product of some forms
  struct Size {
    double coefficient = 0;
    std::vector<int32_t> forms;  // in forms_
  };

  MemoryPlan plan_;
  std::vector<NarrowView> views_;
  std::vector<SizeForm> forms_;  // each once: many tensors share them
  std::vector<Size> sizes_;      // by owner of the plan
};

}  // namespace torchsearch
