#include "core/exported/node_builder.h"

namespace torchsearch::exported {

using torch::jit::Block;
using torch::jit::Node;
using torch::jit::Value;

namespace {

// A graph among a node's inputs.
const Json& innerGraph(const Json& input) {
  const auto [kind, value] = memberOf(field(input, "arg"));
  if (kind != "as_graph") refuseProgram("a higher-order operator lacks its graph");
  return field(value, "graph");
}

const char* remedyFor(const std::string& name) {
  if (name == "wrap_with_autocast")
    return "export the model without autocast, or convert it (model.half(), model.bfloat16()) first.";
  if (name == "map" || name == "map_impl" || name == "scan" || name == "while_loop" ||
      name == "associative_scan")
    return "write the loop out in Python, so that the export unrolls it.";
  if (name == "with_effects" || name == "call_torchbind")
    return "export a model without custom classes and side effects.";
  return "write that part of the model with plain operators.";
}

}  // namespace

NodeBuilder::Values NodeBuilder::addInner(const Json& graph, const Values& operands) {
  const Json& inputs = arrayOf(field(graph, "inputs"));
  if (inputs.size() != operands.size())
    refuseProgram("a graph within it takes other operands than it is given");
  Names names;
  for (size_t i = 0; i < operands.size(); ++i) names.setArgument(inputs[i], operands[i]);
  add(graph, names);
  const ArgumentBuilder arguments(context_, names);
  Values results;
  for (const Json& output : arrayOf(field(graph, "outputs")))
    results.push_back(arguments.make(output, c10::AnyType::get()));
  return results;
}

void NodeBuilder::addHigherOrder(const std::string& name, const Json& node, Names& names) {
  if (name == "cond") return addConditional(node, names);
  if (name != "wrap_with_set_grad_enabled") {
    refuseFeature("the higher-order operator \"" + name + "\"" +
                      (name == "wrap_with_autocast" ? " (an autocast region)" : ""),
                  remedyFor(name));
  }
  const Json& inputs = arrayOf(field(node, "inputs"));
  if (inputs.size() < 2) refuseProgram("a region without gradients lacks its graph");
  const auto [kind, enabled] = memberOf(field(inputs[0], "arg"));
  const ArgumentBuilder arguments(context_, names);
  Values operands;
  for (size_t i = 2; i < inputs.size(); ++i)
    operands.push_back(arguments.make(field(inputs[i], "arg"), c10::AnyType::get()));
  Values results = addInner(innerGraph(inputs[1]), operands);
  // No gradient flows out of the region, as none is recorded within.
  if (kind == "as_bool" && !boolOf(enabled)) {
    for (Value*& result : results) {
      if (result->type()->kind() == c10::TypeKind::TensorType)
        result = context_.graph.insert(torch::jit::aten::detach, {result});
    }
  }
  bind(field(node, "outputs"), results, names);
}

void NodeBuilder::addConditional(const Json& node, Names& names) {
  const Json& inputs = arrayOf(field(node, "inputs"));
  if (inputs.size() != 4) refuseProgram("a conditional has not four operands");
  const ArgumentBuilder arguments(context_, names);
  torch::jit::Graph& graph = context_.graph;
  Value* condition = arguments.make(field(inputs[0], "arg"), c10::AnyType::get());
  if (condition->type()->kind() == c10::TypeKind::TensorType)
    condition = graph.insert(torch::jit::aten::Bool, {condition});
  if (condition->type()->kind() != c10::TypeKind::BoolType)
    refuseProgram("the condition of a conditional is no truth value");
  Values operands;
  const auto [kind, items] = memberOf(field(inputs[3], "arg"));
  for (const Json& item : arrayOf(items)) {
    if (kind == "as_ints") {
      operands.push_back(arguments.constant(intOf(item)));
    } else {
      const Json* name = findField(item, "name");
      operands.push_back(name == nullptr ? arguments.number(item) : names.get(textOf(*name)));
    }
  }
  Node* choice = graph.insertNode(graph.create(torch::jit::prim::If, {condition}, 0));
  for (const size_t side : {size_t{1}, size_t{2}}) {
    Block* block = choice->addBlock();
    const torch::jit::WithInsertPoint inside(block);
    for (Value* result : addInner(innerGraph(inputs[side]), operands)) block->registerOutput(result);
  }
  const auto first = choice->blocks()[0]->outputs();
  const auto second = choice->blocks()[1]->outputs();
  if (first.size() != second.size())
    refuseProgram("the sides of a conditional give other numbers of results");
  Values results;
  for (size_t i = 0; i < first.size(); ++i) {
    if (*first[i]->type() != *second[i]->type())
      refuseProgram("the sides of a conditional give results of other kinds");
    results.push_back(choice->addOutput()->setType(first[i]->type()));
  }
  bind(field(node, "outputs"), results, names);
}

}  // namespace torchsearch::exported
