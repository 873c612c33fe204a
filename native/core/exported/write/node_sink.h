#pragma once

#include <string>
#include <vector>

#include "core/exported/json.h"
#include "core/exported/write/written_names.h"

namespace torchsearch::exported {

// Where the nodes of a written graph go that stand for no operator of the recording.
class NodeSink {
 public:
  struct Operand {
    const char* name;
    Json argument;  // {"as_tensor": …}
  };

  // `stack` is the nn_module_stack of the nodes.
  NodeSink(Json& nodes, Json& tensorValues, WrittenNames& names, std::string stack)
      : nodes_(nodes), tensorValues_(tensorValues), names_(names), stack_(std::move(stack)) {}

  // Appends "torch.ops.aten." + `target` with one result of this metadata, and gives its name.
  std::string add(const std::string& target, const std::vector<Operand>& operands, const Json& meta);

 private:
  Json& nodes_;
  Json& tensorValues_;
  WrittenNames& names_;
  std::string stack_;
};

// A tensor as an operand.
Json tensorOperand(const std::string& name);

}  // namespace torchsearch::exported
