#include "core/space/weight_norms.h"

#include <ATen/ATen.h>

#include <set>
#include <utility>

namespace torchsearch {
namespace {

constexpr int64_t kAll = -1;  // the dimension that stands for a norm over all elements

bool dropsBeside(const at::Tensor& left, const at::Tensor& all, int64_t kept) {
  for (int64_t d = 0; d < left.dim(); ++d) {
    if (d != kept && left.size(d) != all.size(d)) return true;
  }
  return false;
}

}  // namespace

void keepWeightNorms(const Program& program, const Dependencies& dependencies,
                     const std::vector<int64_t>& widths, const std::function<at::Tensor(SlotId)>& whole,
                     Bindings& bindings) {
  std::set<std::pair<SlotId, SlotId>> done;  // several calls may use the same weight
  for (const auto& instruction : program.instructions) {
    if (instruction.schema == nullptr || instruction.schema->name() != "aten::_weight_norm") continue;
    const ValueTree& direction = instruction.arguments[0];
    const ValueTree& magnitude = instruction.arguments[1];
    if (!direction.isSlot() || !magnitude.isSlot() || !program.slots[direction.slot].isStored() ||
        !program.slots[magnitude.slot].isStored() || !done.emplace(direction.slot, magnitude.slot).second) {
      continue;
    }
    at::Tensor& v = bindings.values[direction.slot];
    at::Tensor& g = bindings.values[magnitude.slot];
    at::Tensor all = whole(direction.slot);
    int64_t kept = instruction.arguments[2].constant.toInt();
    if (kept != kAll && kept < 0) kept += v.dim();
    if (!dropsBeside(v, all, kept)) continue;
    if (kept != kAll && v.size(kept) != all.size(kept)) {
      const auto rows = dependencies.kept(direction.slot, kept, widths);
      all = all.index_select(kept, at::tensor(rows, at::kLong).to(all.device()));
    }
    const at::Tensor left = at::norm_except_dim(v, 2, kept);
    const at::Tensor before = at::norm_except_dim(all, 2, kept);
    g = at::where(before > 0, g * (left / before), g);
    // Nothing divided by nothing is no number.
    if ((left == 0).any().item<bool>()) v = at::where(left == 0, at::ones_like(v), v);
  }
}

}  // namespace torchsearch
