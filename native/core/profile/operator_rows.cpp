#include <algorithm>
#include <numeric>
#include <set>

#include "core/forward/execution_plan.h"
#include "core/profile/operator_cost.h"
#include "core/profile/profile.h"

namespace torchsearch {

namespace {

int64_t elements(const std::vector<int64_t>& sizes) {
  return std::accumulate(sizes.begin(), sizes.end(), int64_t{1}, std::multiplies<>());
}

bool endsWith(const std::string& text, const std::string& end) {
  return text.size() >= end.size() && text.compare(text.size() - end.size(), end.size(), end) == 0;
}

// "layer1.0.conv1.weight" -> "layer1.0.conv1"; what is no layer's weight or bias ("class_token") keeps its
// name.
std::string modulePathOf(const std::string& parameter) {
  const size_t dot = parameter.rfind('.');
  if (dot == std::string::npos) return parameter;
  const std::string leaf = parameter.substr(dot + 1);
  const bool ofLayer = leaf.rfind("weight", 0) == 0 || leaf.rfind("bias", 0) == 0 ||
                       endsWith(leaf, "_weight") || endsWith(leaf, "_bias");
  return ofLayer ? parameter.substr(0, dot) : parameter;
}

// Which parameters each tensor is, or is a view of: a traced linear multiplies by `t(weight)`.
class ParameterOrigins {
 public:
  explicit ParameterOrigins(const Program& program) : origins_(program.slots.size()) {
    for (size_t slot = 0; slot < program.slots.size(); ++slot) {
      if (program.slots[slot].kind == Slot::Kind::kParameter) origins_[slot] = {static_cast<SlotId>(slot)};
    }
  }

  // Whether the instruction only makes views of parameters; its results then stand for them.
  bool passOn(const Program& program, const Instruction& instruction) {
    const bool view = instruction.schema != nullptr && !instruction.schema->returns().empty() &&
                      instruction.schema->returns()[0].alias_info() != nullptr &&
                      !instruction.schema->returns()[0].alias_info()->isWrite();
    if (!view) return false;
    const auto parameters = of(instruction);
    bool onlyParameters = !parameters.empty();
    for (const auto& argument : instruction.arguments) {
      forEachSlot(argument, [&](SlotId slot) { onlyParameters = onlyParameters && !origins_[slot].empty(); });
    }
    if (!onlyParameters) return false;
    for (const auto& result : instruction.results) {
      forEachSlot(result, [&](SlotId slot) {
        if (program.slots[slot].kind == Slot::Kind::kResult) origins_[slot] = parameters;
      });
    }
    return true;
  }

  // The parameters among an instruction's arguments, in their order, each once.
  std::vector<SlotId> of(const Instruction& instruction) const {
    std::vector<SlotId> parameters;
    for (const auto& argument : instruction.arguments) {
      forEachSlot(argument, [&](SlotId slot) {
        for (const SlotId origin : origins_[slot]) {
          if (std::find(parameters.begin(), parameters.end(), origin) == parameters.end()) {
            parameters.push_back(origin);
          }
        }
      });
    }
    return parameters;
  }

 private:
  std::vector<std::vector<SlotId>> origins_;
};

std::string nameOf(const Program& program, const Instruction& instruction,
                   const std::vector<SlotId>& parameters) {
  for (const SlotId slot : parameters) {
    if (endsWith(program.slots[slot].name, "weight")) return modulePathOf(program.slots[slot].name);
  }
  if (!parameters.empty()) return modulePathOf(program.slots[parameters.front()].name);
  return instruction.scope;
}

std::vector<std::vector<int64_t>> shapesOf(const Program& program, const std::vector<ValueTree>& trees) {
  std::vector<std::vector<int64_t>> shapes;
  for (const auto& tree : trees) {
    forEachSlot(tree, [&](SlotId slot) { shapes.push_back(program.slots[slot].sizes); });
  }
  return shapes;
}

}  // namespace

std::vector<OperatorProfile> profileOperators(const Program& program) {
  std::vector<OperatorProfile> rows;
  ParameterOrigins origins(program);
  std::set<SlotId> counted;
  for (const auto& instruction : program.instructions) {
    if (instruction.speculative) continue;
    const auto parameters = origins.of(instruction);
    OperatorProfile row;
    row.name = nameOf(program, instruction, parameters);
    row.op = instruction.schema->name();
    row.inputShapes = shapesOf(program, instruction.arguments);
    row.outputShapes = shapesOf(program, instruction.results);
    row.macs = evaluateTerms(multiplyAddTerms(program, instruction), program);
    if (!origins.passOn(program, instruction)) {
      for (const SlotId slot : parameters) {
        if (counted.insert(slot).second) row.params += elements(program.slots[slot].sizes);
      }
    }
    rows.push_back(std::move(row));
  }
  return rows;
}

}  // namespace torchsearch
