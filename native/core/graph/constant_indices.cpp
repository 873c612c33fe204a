#include "core/graph/constant_indices.h"

namespace torchsearch {

std::optional<std::vector<int64_t>> constantIndices(const Program& program, SlotId id) {
  const Slot& slot = program.slots[id];
  if (slot.sizes.size() != 1 || (slot.dtype != at::kLong && slot.dtype != at::kInt)) return std::nullopt;
  std::vector<int64_t> indices;
  if (slot.kind == Slot::Kind::kConstant && slot.constant.defined()) {
    const at::Tensor numbers = slot.constant.to(at::kCPU, at::kLong).contiguous();
    indices.assign(numbers.data_ptr<int64_t>(), numbers.data_ptr<int64_t>() + numbers.numel());
    return indices;
  }
  if (slot.producer < 0) return std::nullopt;
  const Instruction& maker = program.instructions[slot.producer];
  if (maker.schema == nullptr) return std::nullopt;
  // Traces move them to the right device first.
  if (maker.schema->name() == "aten::to" && maker.arguments.at(0).isSlot()) {
    return constantIndices(program, maker.arguments[0].slot);
  }
  if (maker.schema->name() != "aten::tensor") return std::nullopt;
  const auto& list = maker.arguments.at(0).constant;
  const torch::jit::Value* given = maker.node->inputs()[0];
  bool same = torch::jit::toIValue(given).has_value();
  if (given->node()->kind() == torch::jit::prim::ListConstruct) {
    same = true;
    for (const auto* element : given->node()->inputs()) {
      same = same && torch::jit::toIValue(element).has_value();
    }
  }
  if (!same || !list.isIntList()) return std::nullopt;
  return list.toIntVector();
}

}  // namespace torchsearch
