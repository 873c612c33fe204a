#include <string_view>

#include "core/exported/node_builder.h"

namespace torchsearch::exported {
namespace {

bool isFlag(std::string_view name) {
  return name == "train" || name == "training" || name == "use_input_stats";
}

bool isAttentionDropout(const Json& node, std::string_view name) {
  return name == "dropout_p" && textOf(field(node, "target")).find("scaled_dot_product") != std::string::npos;
}

// A normalization without running statistics takes the batch's in either mode.
bool hasChoice(const Json& node) {
  const Json* mean = findArgument(node, "running_mean");
  return mean == nullptr || memberOf(*mean).first != "as_none";
}

}  // namespace

const Json* findArgument(const Json& node, const std::string& name) {
  for (const Json& input : arrayOf(field(node, "inputs"))) {
    if (textOf(field(input, "name")) == name) return &field(input, "arg");
  }
  return nullptr;
}

void findModeFlags(const Json& graph, ModeFlags& flags) {
  for (const Json& node : arrayOf(field(graph, "nodes"))) {
    for (const Json& input : arrayOf(field(node, "inputs"))) {
      const auto [kind, value] = memberOf(field(input, "arg"));
      if (kind == "as_graph") findModeFlags(field(value, "graph"), flags);
      const std::string& name = textOf(field(input, "name"));
      if (kind == "as_bool" && isFlag(name) && hasChoice(node)) {
        flags.any = true;
        flags.on = flags.on || boolOf(value);
      }
      if (kind == "as_float" && isAttentionDropout(node, name) && floatOf(value) > 0) {
        flags.any = true;
        flags.on = true;
      }
    }
  }
}

torch::jit::Value* NodeBuilder::modeArgument(const Json& node, const std::string& name,
                                             const Json& argument) {
  if (context_.training == nullptr) return nullptr;
  const auto [kind, value] = memberOf(argument);
  if (kind == "as_bool" && isFlag(name) && hasChoice(node)) {
    return context_.trained && !boolOf(value) ? nullptr : context_.training;
  }
  if (kind != "as_float" || !isAttentionDropout(node, name) || floatOf(value) <= 0) return nullptr;
  torch::jit::Graph& graph = context_.graph;
  torch::jit::Node* choice = graph.insertNode(graph.create(torch::jit::prim::If, {context_.training}, 0));
  for (const double rate : {floatOf(value), 0.0}) {
    torch::jit::Block* block = choice->addBlock();
    const torch::jit::WithInsertPoint inside(block);
    block->registerOutput(graph.insertConstant(rate));
  }
  return choice->addOutput()->setType(c10::FloatType::get());
}

bool NodeBuilder::addBatchCount(const std::string& target, const Json& node, Names& names) {
  if (target != "torch.ops.aten.add_.Tensor" || context_.training == nullptr) return false;
  const Json* self = findArgument(node, "self");
  if (self == nullptr || memberOf(*self).first != "as_tensor") return false;
  const std::string& counter = textOf(field(memberOf(*self).second, "name"));
  if (context_.batchCounters.count(counter) == 0) return false;
  torch::jit::Graph& graph = context_.graph;
  torch::jit::Node* choice = graph.insertNode(graph.create(torch::jit::prim::If, {context_.training}, 0));
  {
    const torch::jit::WithInsertPoint inside(choice->addBlock());
    Names inner = names;
    addOperator(target, node, inner);
  }
  choice->addBlock();
  bind(field(node, "outputs"), {names.get(counter)}, names);
  return true;
}

}  // namespace torchsearch::exported
