#pragma once

#include <cstdint>
#include <vector>

#include "core/graph/dependency.h"
#include "core/graph/residual_blocks.h"
#include "core/graph/size_form.h"
#include "core/profile/memory_plan.h"

namespace torchsearch {

// The memory of any subnet's inputs, constants and activations, at its peak in a forward.
class MemoryModel {
 public:
  MemoryModel(const Dependencies& dependencies, const ResidualBlocks& blocks);

  // Bytes. `widths` by group, `kept` by block.
  double at(const std::vector<int64_t>& widths, const std::vector<bool>& kept) const;

 private:
  // coefficient x the product of some forms
  struct Size {
    double coefficient = 0;
    std::vector<int32_t> forms;  // in forms_
  };

  MemoryPlan plan_;
  std::vector<SizeForm> forms_;  // each once: many tensors share them
  std::vector<Size> sizes_;      // by owner of the plan
};

}  // namespace torchsearch
