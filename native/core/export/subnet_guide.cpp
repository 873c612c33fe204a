#include "core/export/subnet_guide.h"

#include <algorithm>
#include <optional>
#include <stdexcept>
#include <string>

#include "core/base/error.h"
#include "core/graph/recorder.h"
#include "core/graph/size_arithmetic.h"
#include "core/graph/varying_numbers.h"

namespace torchsearch {

using c10::IValue;
using torch::jit::Node;
using torch::jit::Operation;
using torch::jit::Value;
namespace prim = torch::jit::prim;
namespace aten = torch::jit::aten;

namespace {

// One overload of split takes the sizes of its pieces.
bool isSplitBySizes(const IValue& sizes, const Node* node) {
  return sizes.isIntList() && node->kind() == aten::split &&
         node->inputs()[1]->type()->kind() == c10::TypeKind::ListType;
}

std::vector<int64_t> sizesAlong(const std::vector<at::Tensor>& tensors, int64_t dimension) {
  std::vector<int64_t> sizes;
  for (const auto& tensor : tensors) sizes.push_back(tensor.size(dimension));
  return sizes;
}

}  // namespace

SubnetGuide::SubnetGuide(const InlinedGraph& target, const Dependencies& dependencies,
                         const std::vector<ArgumentOverride>& overrides, CallRewrite& rewrite)
    : target_(target),
      dependencies_(dependencies),
      program_(dependencies.program()),
      rewrite_(rewrite),
      visited_(program_.instructions.size(), false),
      splitWithSizes_(splitWithSizes().getOperation()) {
  for (const auto& item : overrides) {
    overrides_[{static_cast<size_t>(item.instruction), item.argument}] = item.value;
  }
}

void SubnetGuide::bind(const std::vector<at::Tensor>& values) {
  for (size_t slot = 0; slot < values.size(); ++slot) {
    if (values[slot].defined())
      slotOf_.emplace(values[slot].unsafeGetTensorImpl(), static_cast<SlotId>(slot));
  }
}

void SubnetGuide::lost(const Node* node) const {
  const std::string message =
      "The subnet's graph takes another path than the full model's at '" +
      std::string(node->kind().toQualString()) + "'" +
      (modulePath(node).empty() ? "" : " in '" + modulePath(node) + "'") +
      ", so it can't be exported. Choose other widths, or trace the model instead of scripting it.";
  // A branch that was not taken is given up; what it holds gets its overrides in `finish`.
  if (!ends_.empty()) throw std::runtime_error(message);
  throw Error("ERR_EXPORT", message);
}

bool SubnetGuide::sameNode(const Node* recorded, const Node* node) const {
  return program_.graph->indexOf(recorded) == target_.indexOf(node);
}

const IValue& SubnetGuide::wanted(size_t instruction, int32_t argument) const {
  const auto found = overrides_.find({instruction, argument});
  return found != overrides_.end() ? found->second
                                   : program_.instructions[instruction].arguments[argument].constant;
}

Operation* SubnetGuide::beforeOperator(Node* node, Operation& operation, std::vector<IValue>& arguments) {
  const auto* schema = node->maybeSchema();
  if (schema == nullptr || !producesTensors(*schema)) return nullptr;
  const size_t index = next_.first;
  if (index >= program_.instructions.size() || !sameNode(program_.instructions[index].node, node)) lost(node);
  ++next_.first;
  visited_[index] = true;
  const auto& instruction = program_.instructions[index];
  if (instruction.schema->name() != schema->name()) return cut(node, operation, index, arguments);
  // Numbers in tensors' clothes: compared where the sizes are used.
  if (isSizeArithmetic(node)) return nullptr;
  for (size_t a = 0; a < arguments.size() && a < instruction.arguments.size(); ++a) {
    const auto position = static_cast<int32_t>(a);
    // A tensor that is a number may be another one in the subnet; all others are what is computed.
    const bool plain = instruction.arguments[a].kind == ValueTree::Kind::kConstant;
    if (!plain && overrides_.count({index, position}) == 0) continue;
    if (!compare(node, position, arguments[a], wanted(index, position)))
      arguments[a] = wanted(index, position);
  }
  return nullptr;
}

bool SubnetGuide::compare(Node* node, int32_t argument, const IValue& actual, const IValue& wanted) {
  if (actual.isIntList() && wanted.isIntList()) {
    const auto before = actual.toIntVector();
    const auto after = wanted.toIntVector();
    if (before.size() == after.size()) {
      for (size_t k = 0; k < before.size(); ++k) {
        rewrite_.observe(node, argument, static_cast<int32_t>(k), before[k], after[k]);
      }
      return before == after;
    }
  }
  rewrite_.observe(node, argument, CallRewrite::kWhole, actual, wanted);
  return sameValue(actual, wanted);
}

Operation* SubnetGuide::cut(Node* node, Operation& operation, size_t instruction,
                            std::vector<IValue>& arguments) {
  const IValue& sizes = wanted(instruction, 1);
  if (isSplitBySizes(arguments[1], node)) {
    if (!compare(node, 1, arguments[1], sizes)) arguments[1] = sizes;
    return nullptr;
  }
  const int64_t dimension = wanted(instruction, 2).toInt();
  torch::jit::Stack stack = arguments;
  operation(stack);
  std::vector<at::Tensor> pieces;
  collectTensors(stack.at(0), pieces);
  const auto actual = sizesAlong(pieces, dimension);
  rewrite_.observePieces(node, dimension, actual, sizes.toIntVector());
  if (actual == sizes.toIntVector()) return nullptr;
  arguments = {arguments[0], sizes, dimension};
  return &splitWithSizes_;
}

int64_t SubnetGuide::decide(Node* node, int64_t value) {
  if (next_.second >= program_.decisions.size() || !sameNode(program_.decisions[next_.second].node, node)) {
    lost(node);
  }
  const int64_t recorded = program_.decisions[next_.second++].value;
  if (node->kind() == prim::If) {
    rewrite_.observe(node, 0, CallRewrite::kWhole, value != 0, recorded != 0);
  } else {
    rewrite_.observe(node, 0, CallRewrite::kWhole, value, recorded);
  }
  return recorded;
}

bool SubnetGuide::speculatesAt(Node* node) {
  const size_t index = next_.second - 1;
  const Decision& decision = program_.decisions[index];
  const auto& givenUp = dependencies_.givenUp();
  if (std::binary_search(givenUp.begin(), givenUp.end(), static_cast<int32_t>(index))) {
    // As if the graph wanted the other side, so that it never takes it.
    rewrite_.observe(node, 0, CallRewrite::kWhole, decision.value == 0, decision.value != 0);
    next_.first += static_cast<size_t>(decision.instructions);
  } else if (decision.instructions > 0 || decision.decisions > 0) {
    return true;
  }
  next_.second += static_cast<size_t>(decision.decisions);
  return false;
}

void SubnetGuide::onSpeculationBegin() {
  const Decision& decision = program_.decisions[next_.second - 1];
  ends_.emplace_back(next_.first + static_cast<size_t>(decision.instructions),
                     next_.second + static_cast<size_t>(decision.decisions));
}

void SubnetGuide::onSpeculationEnd(bool, const std::vector<IValue>&) {
  next_ = ends_.back();
  ends_.pop_back();
}

void SubnetGuide::onOperator(Node* node, const Operation&, const std::vector<IValue>& arguments,
                             const std::vector<IValue>& results, bool) {
  const auto* schema = node->maybeSchema();
  if (schema == nullptr) return;
  if (node->kind() == aten::size) {
    const auto found = slotOf_.find(arguments[0].toTensor().unsafeGetTensorImpl());
    if (found != slotOf_.end()) sizedBy_[node] = found->second;
  } else if (producesTensors(*schema)) {
    const auto& instruction = program_.instructions[next_.first - 1];
    for (size_t r = 0; r < results.size() && r < instruction.results.size(); ++r) {
      learn(instruction.results[r], results[r]);
    }
  }
}

void SubnetGuide::learn(const ValueTree& tree, const IValue& value) {
  if (tree.isSlot()) {
    if (value.isTensor() && value.toTensor().defined()) {
      slotOf_[value.toTensor().unsafeGetTensorImpl()] = tree.slot;
    }
  } else if (tree.kind == ValueTree::Kind::kList && value.isList()) {
    const auto elements = value.toListRef();
    for (size_t i = 0; i < tree.children.size() && i < elements.size(); ++i) {
      learn(tree.children[i], elements[i]);
    }
  }
}

void SubnetGuide::finish() {
  if (next_.first != program_.instructions.size()) lost(target_.nodes().back());
  for (const auto& [place, value] : overrides_) {
    const auto [index, argument] = place;
    const auto& instruction = program_.instructions[index];
    if (visited_[index]) continue;
    Node* node = target_.nodes().at(program_.graph->indexOf(instruction.node));
    const IValue& recorded = instruction.arguments[argument].constant;
    if (node->maybeSchema()->name() != instruction.schema->name() && !isSplitBySizes(recorded, node)) {
      rewrite_.observePieces(node, instruction.arguments[2].constant.toInt(), recorded.toIntVector(),
                             value.toIntVector());
    } else {
      compare(node, argument, recorded, value);
    }
  }
}

bool SubnetGuide::varies(const Value* value) const {
  const VaryingNumbers numbers([&](const Node* sizes, std::optional<int64_t> dimension) {
    const auto found = sizedBy_.find(sizes);
    if (found == sizedBy_.end() || !dimension.has_value()) return true;
    const Slot& slot = program_.slots[found->second];
    const auto rank = static_cast<int64_t>(slot.sizes.size());
    const int64_t d = *dimension < 0 ? *dimension + rank : *dimension;
    if (d < 0 || d >= rank) return true;
    return !slot.isStored() && dependencies_.labels(found->second, d).empty();
  });
  return numbers.varies(value);
}

}  // namespace torchsearch
