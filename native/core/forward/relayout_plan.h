#pragma once

#include <cstdint>
#include <vector>

#include "core/forward/execution_plan.h"
#include "core/forward/fused_chain.h"
#include "core/graph/storage_classes.h"

namespace torchsearch {

// How a tensor lay in memory when it was recorded.
enum class Layout : uint8_t { kContiguous, kChannelsLast, kOther };

Layout recordedLayout(const Slot& slot);

// A tensor to bring to a layout before an instruction.
struct Relayout {
  int32_t instruction = 0;
  SlotId slot = kNoSlot;
  Layout layout = Layout::kContiguous;
};

// Fused convolutions give their results in channels-last order, which most operators take and pass on. Those
// that look at how memory is laid out (views) get what they got when recorded.
struct RelayoutPlan {
  std::vector<Relayout> relayouts;  // ascending by instruction
  std::vector<bool>
      pinned;  // by representative of the storage classes: keeps its layout, as views of it are written
};

// `chainOf`: by instruction, its place in `chains`, or -1; `writes`: by representative, the instructions that
// write it.
RelayoutPlan planRelayouts(const ExecutionPlan& plan, const std::vector<FusedChain>& chains,
                           const std::vector<int32_t>& chainOf, const StorageClasses& storage,
                           const std::vector<std::vector<int32_t>>& writes);

}  // namespace torchsearch
