#include "core/exported/write/node_sink.h"

namespace torchsearch::exported {

std::string NodeSink::add(const std::string& target, const std::vector<Operand>& operands, const Json& meta) {
  Json inputs = Json::array();
  for (const Operand& operand : operands)
    inputs.push_back({{"name", operand.name}, {"arg", operand.argument}, {"kind", 1}});
  const std::string name = names_.unique(target.substr(0, target.find('.')));
  tensorValues_[name] = meta;
  nodes_.push_back({{"target", "torch.ops.aten." + target},
                    {"inputs", std::move(inputs)},
                    {"outputs", Json::array({tensorOperand(name)})},
                    {"metadata", {{"nn_module_stack", stack_}}},
                    {"is_hop_single_tensor_return", nullptr},
                    {"name", name}});
  return name;
}

Json tensorOperand(const std::string& name) {
  return {{"as_tensor", {{"name", name}}}};
}

}  // namespace torchsearch::exported
