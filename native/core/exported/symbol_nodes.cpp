#include <torch/csrc/jit/frontend/error_report.h>

#include <array>
#include <string_view>
#include <utility>

#include "core/exported/node_builder.h"

namespace torchsearch::exported {

using torch::jit::Value;

namespace {

constexpr std::array<std::pair<std::string_view, const char*>, 30> kSymbolTargets{
    {{"_operator.add", "aten::add"},
     {"_operator.sub", "aten::sub"},
     {"_operator.mul", "aten::mul"},
     {"_operator.floordiv", "aten::floordiv"},
     {"_operator.mod", "aten::remainder"},
     {"_operator.neg", "aten::neg"},
     {"_operator.pos", "aten::Int"},
     {"_operator.truediv", "aten::div"},
     {"_operator.eq", "aten::eq"},
     {"_operator.ne", "aten::ne"},
     {"_operator.lt", "aten::lt"},
     {"_operator.le", "aten::le"},
     {"_operator.gt", "aten::gt"},
     {"_operator.ge", "aten::ge"},
     {"_operator.and_", "aten::__and__"},
     {"_operator.or_", "aten::__or__"},
     {"torch.sym_float", "aten::Float"},
     {"torch.sym_int", "aten::Int"},
     {"torch.sym_max", "prim::max"},
     {"torch.sym_min", "prim::min"},
     {"torch.sym_not", "aten::__not__"},
     {"math.trunc", "aten::Int"},
     {"math.floor", "aten::floor"},
     {"math.ceil", "aten::ceil"},
     {"torch._sym_sqrt", "aten::sqrt"},
     {"torch.ops.aten.sym_size.int", "aten::size"},
     {"torch.ops.aten.sym_stride.int", "aten::stride"},
     {"torch.ops.aten.sym_numel.default", "aten::numel"},
     {"torch.ops.aten.sym_storage_offset.default", "aten::storage_offset"},
     {"round", "aten::round"}}};

constexpr int64_t kMaxPower = 16;

// The output's kind: "as_sym_int" and the like.
const std::string& outputKind(const Json& node) {
  const Json& outputs = arrayOf(field(node, "outputs"));
  if (outputs.size() != 1) refuseProgram("an operator on sizes has not one result");
  return memberOf(outputs[0]).first;
}

}  // namespace

bool NodeBuilder::addSymbolNode(const std::string& target, const Json& node, Names& names) {
  torch::jit::Graph& graph = context_.graph;
  const ArgumentBuilder arguments(context_, names);
  const Json& inputs = arrayOf(field(node, "inputs"));
  const auto operand = [&](size_t i) {
    if (i >= inputs.size()) refuseProgram("\"" + target + "\" lacks an operand");
    return arguments.make(field(inputs[i], "arg"), c10::AnyType::get());
  };
  const auto insert = [&](const char* name, const std::vector<Value*>& operands) {
    std::vector<torch::jit::NamedValue> named(operands.begin(), operands.end());
    try {
      return graph.insert(c10::Symbol::fromQualString(name), named);
    } catch (const std::exception&) {
      refuseProgram("\"" + target + "\" has operands that it does not take");
    }
  };
  if (target == "_operator.pow") {
    Value* base = operand(0);
    const auto [kind, exponent] = memberOf(field(inputs[inputs.size() > 1 ? 1 : 0], "arg"));
    if (kind == "as_int" && outputKind(node) == "as_sym_int") {
      const int64_t count = intOf(exponent);
      if (count < 1 || count > kMaxPower)
        refuseFeature("a size to the power of " + std::to_string(count), "write it another way.");
      Value* power = base;
      for (int64_t i = 1; i < count; ++i) power = insert("aten::mul", {power, base});
      bind(field(node, "outputs"), {power}, names);
    } else {
      bind(field(node, "outputs"), {insert("aten::pow", {base, operand(1)})}, names);
    }
    return true;
  }
  if (target == "torch.sym_sum") {
    const auto [kind, items] = inputs.empty() ? memberOf(node) : memberOf(field(inputs[0], "arg"));
    Value* sum = arguments.constant(int64_t{0});
    for (const Json& item : arrayOf(items)) {
      Value* number = kind == "as_ints" ? arguments.constant(intOf(item)) : arguments.number(item);
      sum = insert("aten::add", {sum, number});
    }
    bind(field(node, "outputs"), {sum}, names);
    return true;
  }
  if (target == "torch.ops.aten.item.default" || target == "torch.ops.aten._local_scalar_dense.default") {
    const std::string& kind = outputKind(node);
    const char* name = kind == "as_sym_float"  ? "aten::Float"
                       : kind == "as_sym_bool" ? "aten::Bool"
                                               : "aten::Int";
    bind(field(node, "outputs"), {insert(name, {operand(0)})}, names);
    return true;
  }
  for (const auto& [known, name] : kSymbolTargets) {
    if (known != target) continue;
    std::vector<Value*> operands;
    for (size_t i = 0; i < inputs.size(); ++i) operands.push_back(operand(i));
    bind(field(node, "outputs"), {insert(name, operands)}, names);
    return true;
  }
  return false;
}

}  // namespace torchsearch::exported
