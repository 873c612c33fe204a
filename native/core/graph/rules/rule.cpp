#include "core/graph/rules/rule.h"

#include <algorithm>

#include "core/base/error.h"

namespace torchsearch {

namespace {

bool contains(const ValueTree& tree, SlotId slot) {
  if (tree.isSlot()) return tree.slot == slot;
  return std::any_of(tree.children.begin(), tree.children.end(),
                     [&](const ValueTree& child) { return contains(child, slot); });
}

}  // namespace

std::vector<SlotId> slotsIn(const std::vector<ValueTree>& trees) {
  std::vector<SlotId> slots;
  for (const auto& tree : trees) forEachSlot(tree, [&](SlotId slot) { slots.push_back(slot); });
  return slots;
}

std::vector<SlotId> tensorArguments(const Instruction& instruction) {
  return slotsIn(instruction.arguments);
}

std::vector<SlotId> tensorResults(const Instruction& instruction) {
  return slotsIn(instruction.results);
}

const ValueTree& Rule::argument(const char* name) const {
  const auto position = instruction.schema->argumentIndexWithName(name);
  TORCH_CHECK(position.has_value(), "'", this->name(), "' takes no '", name, "'");
  return instruction.arguments.at(*position);
}

bool Rule::isGiven(const char* name) const {
  if (!takes(name)) return false;
  const auto& value = argument(name);
  return value.kind != ValueTree::Kind::kConstant || !value.constant.isNone();
}

SlotId Rule::slot(const char* name) const {
  const auto& value = argument(name);
  TORCH_CHECK(value.isSlot(), "'", this->name(), "' was given no tensor as '", name, "'");
  return value.slot;
}

SlotId Rule::result() const {
  const auto& value = instruction.results.at(0);
  TORCH_CHECK(value.isSlot(), "'", name(), "' gave no tensor");
  return value.slot;
}

SlotId Rule::input() const {
  const auto slots = tensorArguments(instruction);
  TORCH_CHECK(!slots.empty(), "'", name(), "' was given no tensor");
  return slots[0];
}

std::vector<int64_t> Rule::integers(const char* name) const {
  const auto& value = argument(name).constant;
  if (value.isInt()) return {value.toInt()};
  return value.toIntVector();
}

std::vector<int64_t> Rule::dimensions(const char* name, int64_t rank) const {
  auto result = integers(name);
  for (auto& dimension : result) dimension = wrap(dimension, rank);
  return result;
}

bool Rule::varies(const char* name) const {
  const auto position = instruction.schema->argumentIndexWithName(name);
  return position.has_value() && analysis.varies(*position);
}

bool Rule::elementVaries(const char* name, int64_t element) const {
  const auto position = instruction.schema->argumentIndexWithName(name);
  return position.has_value() && analysis.elementVaries(*position, element);
}

bool Rule::isWeight(SlotId id) const {
  const auto& slots = analysis.program().slots;
  while (slots[id].viewOf != kNoSlot) id = slots[id].viewOf;
  return slots[id].isStored();
}

bool Rule::isRead(SlotId id) const {
  const auto& program = analysis.program();
  if (contains(program.output, id)) return true;
  return std::any_of(program.instructions.begin(), program.instructions.end(),
                     [&](const Instruction& reader) {
                       return std::any_of(reader.arguments.begin(), reader.arguments.end(),
                                          [&](const ValueTree& argument) { return contains(argument, id); });
                     });
}

Labels Rule::shared(const std::vector<Place>& places) const {
  int64_t whole = 1;
  for (const auto& place : places) {
    if (size(place) != 1) whole = size(place);
  }
  Labels result;
  bool unlabelled = false;
  bool isInput = false;
  for (const auto& place : places) {
    const Labels& own = labels(place.slot).at(place.dimension);
    if (size(place) == 1) {
      // It can't be dropped from under the others.
      fix(own);
    } else if (own.empty() || size(place) != whole) {
      unlabelled = true;
      isInput = isInput || analysis.program().slots[place.slot].kind == Slot::Kind::kInput;
      fix(own);
    } else if (result.empty()) {
      result = own;
    } else {
      analysis.tie(result, own, reason);
    }
  }
  if (unlabelled) {
    analysis.fix(
        result, isInput ? "it is an input of the model" : "'" + name() + "' combines it with a whole tensor");
  }
  return result;
}

void Rule::contract(const Place& a, const Place& b) const {
  shared({a, b});
  if (!isActivation(a.slot) || !isActivation(b.slot)) return;
  analysis.contract(labels(a.slot)[a.dimension], labels(b.slot)[b.dimension], reason);
}

std::vector<Labels> Rule::broadcast(const std::vector<SlotId>& tensors, int64_t rank) const {
  std::vector<Labels> result(rank);
  for (int64_t d = 0; d < rank; ++d) {
    std::vector<Place> places;
    for (const SlotId tensor : tensors) {
      const int64_t own = d - (rank - this->rank(tensor));
      if (own >= 0) places.push_back({tensor, own});
    }
    result[d] = shared(places);
  }
  return result;
}

void Rule::tieOnto(const std::vector<Labels>& onto, SlotId tensor) const {
  const auto& own = labels(tensor);
  TORCH_CHECK(own.size() <= onto.size(), "'", name(), "' broadcasts to fewer dimensions");
  for (size_t d = 0; d < own.size(); ++d) {
    if (sizes(tensor)[d] == 1) {
      fix(own[d]);
    } else {
      analysis.tie(onto[onto.size() - own.size() + d], own[d], reason);
    }
  }
}

void Rule::setResult(SlotId result, std::vector<Labels> dimensions) const {
  TORCH_CHECK(dimensions.size() == sizes(result).size(), "the rule of '", name(), "' expected a result of ",
              dimensions.size(), " dimensions");
  labels(result) = std::move(dimensions);
}

void Rule::setResults(const std::vector<Labels>& dimensions) const {
  const auto results = tensorResults(instruction);
  for (const SlotId slot : results) {
    if (sizes(slot) == sizes(results[0])) setResult(slot, dimensions);
  }
}

void keepWhole(const Rule& rule) {
  for (const SlotId slot : tensorArguments(rule.instruction)) rule.analysis.fixSlot(slot, rule.reason);
  for (const SlotId slot : tensorResults(rule.instruction)) {
    rule.analysis.fixSlot(slot, rule.reason);
    rule.labels(slot).assign(rule.sizes(slot).size(), Labels());
  }
}

}  // namespace torchsearch
