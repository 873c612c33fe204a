#include "core/layers/layer_uses.h"

#include <utility>

namespace torchsearch {

LayerUses::LayerUses(const Program& program, WeightTracker tracker, Visit visit)
    : program_(program), tracker_(std::move(tracker)), visit_(std::move(visit)) {}

void LayerUses::beforeInstruction(int32_t instruction, const std::vector<at::Tensor>& values) {
  arguments_.clear();
  for (const auto& tree : program_.instructions[instruction].arguments) {
    arguments_.push_back(materialize(tree, values));
  }
}

void LayerUses::afterInstruction(int32_t instruction, const std::vector<at::Tensor>& values) {
  const Instruction& ran = program_.instructions[instruction];
  std::vector<c10::IValue> results;
  for (const auto& tree : ran.results) results.push_back(materialize(tree, values));
  for (const auto& use : tracker_.see(*ran.schema, arguments_, results)) {
    visit_(instruction, use, arguments_);
  }
  arguments_.clear();
}

}  // namespace torchsearch
