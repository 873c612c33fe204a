#include "core/space/graph_constants.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <unordered_set>

#include "core/graph/size_arithmetic.h"

namespace torchsearch {

using c10::IValue;
using torch::jit::Node;
using torch::jit::Value;
namespace prim = torch::jit::prim;

namespace {

using Names = std::unordered_set<std::string>;

// Floats and scalars that place elements, or matter in training only, or turn chance on in evaluation.
bool isExcluded(const std::string& op, const std::string& argument) {
  static const Names operators = {"aten::arange", "aten::range", "aten::linspace", "aten::logspace"};
  static const Names arguments = {"momentum", "dropout_p", "scales",      "scales_h",
                                  "scales_w", "scales_d",  "scale_factor"};
  return operators.count(op) > 0 || arguments.count(argument) > 0;
}

// Most ints and bools are dimensions, sizes or ways of computing; these are numbers like any other.
bool isNumberDespiteType(const std::string& argument) {
  static const Names names = {"diagonal",          "is_causal", "align_corners",
                              "count_include_pad", "unbiased",  "correction"};
  return names.count(argument) > 0;
}

bool mayChange(const std::string& op, const c10::Argument& argument) {
  c10::TypePtr type = argument.type();
  if (const auto optional = type->cast<c10::OptionalType>()) type = optional->getElementType();
  const auto kind = type->kind();
  if (kind == c10::TypeKind::FloatType || kind == c10::TypeKind::NumberType ||
      kind == c10::TypeKind::TensorType) {
    return !isExcluded(op, argument.name());
  }
  return (kind == c10::TypeKind::IntType || kind == c10::TypeKind::BoolType) &&
         isNumberDespiteType(argument.name());
}

bool isFiniteNumber(const IValue& value) {
  if (value.isTensor()) {
    const at::Tensor& tensor = value.toTensor();
    return tensor.defined() && tensor.dim() == 0 && !tensor.is_complex() &&
           std::isfinite(tensor.item().toDouble());
  }
  return value.isInt() || value.isBool() || (value.isDouble() && std::isfinite(value.toDouble()));
}

// Whether the graph computes a value from something else than constants and attributes.
bool isComputed(const Value* value, std::unordered_set<const Value*>& seen) {
  if (!seen.insert(value).second) return false;
  const Node* node = value->node();
  if (node->kind() == prim::Constant || node->kind() == prim::GetAttr) return false;
  if (node->kind() == prim::Param || node->kind() == prim::Loop) return true;
  if (value->type()->kind() == c10::TypeKind::TensorType) return true;
  if (node->kind() == prim::If) {
    return std::any_of(node->blocks().begin(), node->blocks().end(), [&](const torch::jit::Block* block) {
      return isComputed(block->outputs()[value->offset()], seen);
    });
  }
  return std::any_of(node->inputs().begin(), node->inputs().end(), [&](const Value* input) {
    return input->type()->kind() == c10::TypeKind::TensorType || isComputed(input, seen);
  });
}

// What stands for a scale that is left out.
IValue scaleOf(const Instruction& attention, const IValue& given, const Dependencies& dependencies) {
  if (!given.isNone() || attention.schema->name() != "aten::scaled_dot_product_attention") return given;
  const auto& query = attention.arguments[0];
  if (!query.isSlot()) return given;
  const auto& sizes = dependencies.program().slots[query.slot].sizes;
  const auto last = static_cast<int64_t>(sizes.size()) - 1;
  if (last < 0 || sizes[last] == 0 || !dependencies.labels(query.slot, last).empty()) return given;
  return 1.0 / std::sqrt(static_cast<double>(sizes[last]));
}

// "leaky_relu" of "aten::leaky_relu_".
std::string plainName(const std::string& op) {
  std::string name = op.substr(op.rfind(':') + 1);
  if (name.size() > 1 && name.back() == '_') name.pop_back();
  return name;
}

}  // namespace

double GraphConstant::number() const {
  return value.isTensor() ? value.toTensor().item().toDouble() : value.toScalar().toDouble();
}

at::ScalarType GraphConstant::type() const {
  const at::ScalarType own = value.isTensor() ? value.toTensor().scalar_type() : value.toScalar().type();
  if (own == at::kBool) return own;
  return at::isIntegralType(own, /*includeBool=*/false) ? at::kLong : at::kDouble;
}

IValue GraphConstant::valueOf(double number) const {
  const bool whole = number == std::floor(number);
  if (value.isTensor()) {
    const auto options = value.toTensor().options();
    const bool keeps = whole || type() == at::kDouble;
    return at::full({}, number, keeps ? options : options.dtype(at::kDouble));
  }
  if (value.isBool()) return number != 0;
  if (value.isInt() && whole) return static_cast<int64_t>(number);
  return number;
}

std::vector<GraphConstant> graphConstants(const Dependencies& dependencies) {
  const Program& program = dependencies.program();
  std::vector<GraphConstant> found;
  std::map<std::string, int> taken;
  std::unordered_set<const Node*> seen;
  for (const auto& instruction : program.instructions) {
    const Node* node = instruction.node;
    const auto* own = node->maybeSchema();
    if (!instruction.runs() || own == nullptr || own->name() != instruction.schema->name()) continue;
    if (!seen.insert(node).second || isSizeArithmetic(node)) continue;
    const auto& schema = *instruction.schema;
    const size_t count = std::min(schema.arguments().size(), instruction.arguments.size());
    for (size_t a = 0; a < count; ++a) {
      const auto& argument = schema.arguments()[a];
      const auto& tree = instruction.arguments[a];
      if (tree.kind != ValueTree::Kind::kConstant && !tree.isSlot()) continue;
      const IValue value = tree.isSlot()                ? IValue(program.slots[tree.slot].constant)
                           : argument.name() == "scale" ? scaleOf(instruction, tree.constant, dependencies)
                                                        : tree.constant;
      if (!isFiniteNumber(value)) continue;
      if (!mayChange(schema.name(), argument)) continue;
      std::unordered_set<const Value*> visited;
      if (isComputed(node->inputs()[a], visited)) continue;
      GraphConstant constant;
      constant.name = instruction.scope.empty() ? "" : instruction.scope + ".";
      constant.name += plainName(schema.name()) + "." + argument.name();
      const int times = ++taken[constant.name];
      if (times > 1) constant.name += "#" + std::to_string(times);
      constant.op = schema.name();
      constant.argument = argument.name();
      constant.value = value;
      constant.node = node;
      constant.position = static_cast<int32_t>(a);
      found.push_back(std::move(constant));
    }
  }
  return found;
}

}  // namespace torchsearch
