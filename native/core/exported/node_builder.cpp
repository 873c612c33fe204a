#include "core/exported/node_builder.h"

#include <torch/csrc/jit/runtime/operator.h>

#include <algorithm>
#include <array>
#include <string_view>

#include "core/base/error.h"
#include "core/exported/scalar_types.h"

namespace torchsearch::exported {

using torch::jit::Node;
using torch::jit::Operator;
using torch::jit::Value;

namespace {

constexpr std::string_view kOperators = "torch.ops.";
constexpr std::string_view kHigherOrder = "torch.ops.higher_order.";
// Checks of what the export assumed. The sizes of inputs are checked at the call instead.
constexpr std::array<std::string_view, 5> kChecks{
    "torch.ops.aten._assert_scalar.default", "torch.ops.aten._assert_tensor_metadata.default",
    "torch.ops.aten.sym_constrain_range.default", "torch.ops.aten.sym_constrain_range_for_size.default",
    "torch.ops.aten._assert_async.msg"};

struct OperatorName {
  std::string library;
  std::string name;
  std::string overload;
};

OperatorName parseTarget(const std::string& target) {
  if (!target.starts_with(kOperators)) {
    refuseFeature("the function \"" + target + "\"",
                  "write that part of the model with PyTorch's operators.");
  }
  const std::string rest = target.substr(kOperators.size());
  const size_t first = rest.find('.');
  const size_t last = rest.rfind('.');
  if (first == std::string::npos || last == first) refuseProgram("\"" + target + "\" is no operator");
  OperatorName parsed{rest.substr(0, first), rest.substr(first + 1, last - first - 1), rest.substr(last + 1)};
  if (parsed.overload == "default") parsed.overload.clear();
  const auto isName = [](const std::string& text) {
    return std::all_of(text.begin(), text.end(),
                       [](char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_'; });
  };
  if (parsed.library.empty() || parsed.name.empty() || !isName(parsed.library) || !isName(parsed.name) ||
      !isName(parsed.overload)) {
    refuseProgram("\"" + target + "\" is no operator");
  }
  return parsed;
}

bool isNumber(const Json& argument) {
  const std::string& kind = memberOf(argument).first;
  return kind == "as_int" || kind == "as_float" || kind == "as_bool" || kind == "as_sym_int" ||
         kind == "as_sym_float";
}

// A number stands where this overload takes a tensor: another one takes the number.
std::shared_ptr<Operator> forNumbers(const c10::Symbol& symbol, std::shared_ptr<Operator> op,
                                     const Json& inputs) {
  for (const Json& input : inputs) {
    const std::string& name = textOf(field(input, "name"));
    const auto index = op->schema().argumentIndexWithName(name);
    if (!index || !isNumber(field(input, "arg"))) continue;
    const auto at = static_cast<size_t>(*index);
    if (op->schema().arguments()[at].type()->kind() != c10::TypeKind::TensorType) continue;
    for (const auto& other : torch::jit::getAllOperatorsFor(symbol)) {
      const auto& arguments = other->schema().arguments();
      const auto there = other->schema().argumentIndexWithName(name);
      if (there && *there == *index && *there > 0 && arguments.size() == op->schema().arguments().size() &&
          arguments[0].type()->kind() == c10::TypeKind::TensorType &&
          arguments[at].type()->kind() == c10::TypeKind::NumberType) {
        return other;
      }
    }
  }
  return op;
}

// The dotted path of the module that made a node, or nothing.
std::string modulePathOf(const Json& node) {
  const Json* metadata = findField(node, "metadata");
  const Json* stack = metadata == nullptr ? nullptr : findField(*metadata, "nn_module_stack");
  if (stack == nullptr || !stack->is_string()) return "";
  std::string entry = textOf(*stack);
  entry = entry.substr(entry.rfind(';') + 1);  // npos + 1 is 0
  const size_t first = entry.find(',');
  const size_t second = first == std::string::npos ? first : entry.find(',', first + 1);
  if (second == std::string::npos) return "";
  std::string path = entry.substr(first + 1, second - first - 1);
  path = path.substr(0, path.find('@'));  // the second call of one module
  const bool sound =
      !path.starts_with("_empty_nn_module_stack") && path.size() < 1000 &&
      std::all_of(
          path.begin(), path.end(),
          [](char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_' || c == '.'; });
  return sound ? path : "";
}

}  // namespace

void NodeBuilder::add(const Json& graph, Names& names) {
  for (const Json& node : arrayOf(field(graph, "nodes"))) addNode(node, names);
}

void NodeBuilder::addNode(const Json& node, Names& names) {
  const std::string& target = textOf(field(node, "target"));
  const std::string path = modulePathOf(node);
  const auto scope = path.empty() ? context_.graph.current_scope()
                                  : c10::make_intrusive<torch::jit::Scope>()->push(c10::Symbol::scope(path));
  const torch::jit::WithCurrentScope within(context_.graph, scope);
  if (std::find(kChecks.begin(), kChecks.end(), target) != kChecks.end()) return;
  if (target.starts_with(kHigherOrder)) {
    return addHigherOrder(target.substr(kHigherOrder.size()), node, names);
  }
  if (addSymbolNode(target, node, names) || addBatchCount(target, node, names)) return;
  addOperator(target, node, names);
}

void NodeBuilder::addOperator(const std::string& target, const Json& node, Names& names) {
  const OperatorName name = parseTarget(target);
  const std::string qualified = name.library + "::" + name.name;
  const c10::Symbol symbol = c10::Symbol::fromQualString(qualified);
  std::shared_ptr<Operator> op = torch::jit::findOperatorFor(c10::OperatorName(qualified, name.overload));
  if (op == nullptr) {
    throw Error(
        "ERR_UNKNOWN_OPERATOR",
        "The exported program uses the operator '" + qualified + "'" +
            (name.overload.empty() ? "" : " (overload '" + name.overload + "')") +
            ", which this LibTorch does not have: a library of the model's own defines it, or another "
            "PyTorch. Replace it by what PyTorch itself offers, and export the model again.");
  }
  const Json& inputs = arrayOf(field(node, "inputs"));
  op = forNumbers(symbol, op, inputs);
  const c10::FunctionSchema& schema = op->schema();
  const ArgumentBuilder arguments(context_, names);
  Values operands;
  size_t used = 0;
  bool truthAsNumber = false;
  for (const c10::Argument& argument : schema.arguments()) {
    if (const Json* given = findArgument(node, argument.name())) {
      Value* mode = modeArgument(node, argument.name(), *given);
      operands.push_back(mode != nullptr ? mode : arguments.make(*given, argument.type()));
      truthAsNumber = truthAsNumber || (memberOf(*given).first == "as_bool" &&
                                        operands.back()->type()->kind() == c10::TypeKind::IntType);
      ++used;
    } else if (!argument.default_value()) {
      refuseProgram("\"" + target + "\" lacks its argument \"" + argument.name() + "\"");
    } else if (argument.default_value()->isIntList()) {
      Values items;
      for (const int64_t item : argument.default_value()->toIntVector())
        items.push_back(arguments.constant(item));
      operands.push_back(arguments.list(c10::IntType::get(), items));
    } else {
      operands.push_back(arguments.constant(*argument.default_value()));
    }
  }
  if (used != inputs.size()) refuseProgram("\"" + target + "\" has an argument that it does not take");
  Node* made = context_.graph.create(symbol, operands, 0);
  for (const c10::Argument& result : schema.returns()) made->addOutput()->setType(result.type());
  context_.graph.insertNode(made);
  if (made->maybeOperator() == nullptr || made->schema().overload_name() != schema.overload_name())
    refuseProgram("\"" + target + "\" has arguments that it does not take");
  Values results(made->outputs().begin(), made->outputs().end());
  // torch.full(…, True) is a tensor of truth values; with 1, it isn't.
  if (truthAsNumber && results.size() == 1 && results[0]->type()->kind() == c10::TypeKind::TensorType &&
      !name.name.ends_with("_") && context_.isTruth(field(node, "outputs"))) {
    Value* no = arguments.constant(false);
    results[0] = context_.graph.insert(
        torch::jit::aten::to,
        {results[0], arguments.constant(static_cast<int64_t>(at::kBool)), no, no, arguments.constant({})});
  }
  bind(field(node, "outputs"), results, names);
}

void NodeBuilder::bind(const Json& outputs, const Values& values, Names& names) {
  torch::jit::Graph& graph = context_.graph;
  const auto setEach = [&](const Json& tensors, const auto& items) {
    if (tensors.size() != items.size()) refuseProgram("an operator has another number of results");
    for (size_t i = 0; i < tensors.size(); ++i) names.set(textOf(field(tensors[i], "name")), items[i]);
  };
  const size_t count = arrayOf(outputs).size();
  // A graph within a node gives its results one by one, under one name for all of them.
  if (count == 1 && memberOf(outputs[0]).first == "as_tensors" &&
      !(values.size() == 1 && values[0]->type()->kind() == c10::TypeKind::ListType)) {
    return setEach(arrayOf(memberOf(outputs[0]).second), values);
  }
  // In-place operators and checks may leave out a result that nobody reads.
  if (count > values.size()) refuseProgram("an operator has another number of results");
  for (size_t i = 0; i < count; ++i) {
    const auto [kind, value] = memberOf(outputs[i]);
    if (kind == "as_tensors") {
      if (values[i]->type()->kind() != c10::TypeKind::ListType)
        refuseProgram("an operator's result is no list of tensors");
      Node* unpacked = graph.insertNode(graph.createListUnpack(values[i], arrayOf(value).size()));
      setEach(value, unpacked->outputs());
    } else if (kind == "as_tensor" || kind == "as_sym_int" || kind == "as_sym_float" ||
               kind == "as_sym_bool" || kind == "as_optional_tensor") {
      const bool optional = kind == "as_optional_tensor" && memberOf(value).first == "as_tensor";
      names.setArgument(optional ? value : outputs[i], values[i]);
    } else if (kind != "as_none" && kind != "as_int" && kind != "as_float" && kind != "as_bool" &&
               kind != "as_optional_tensor") {
      refuseFeature("a result of the kind \"" + kind + "\"", "export a model whose operators give tensors.");
    }
  }
}

}  // namespace torchsearch::exported
