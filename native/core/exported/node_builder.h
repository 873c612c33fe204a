#pragma once

#include <string>
#include <vector>

#include "core/exported/arguments.h"
#include "core/exported/graph_scope.h"

namespace torchsearch::exported {

// Makes the nodes of an exported graph, and of those within it, in a TorchScript graph.
class NodeBuilder {
 public:
  explicit NodeBuilder(GraphContext& context) : context_(context) {}

  // Adds all nodes of a graph. ERR_EXPORTED_PROGRAM, ERR_UNSUPPORTED_EXPORT, ERR_UNKNOWN_OPERATOR
  void add(const Json& graph, Names& names);

 private:
  using Values = std::vector<torch::jit::Value*>;

  void addNode(const Json& node, Names& names);
  // Arithmetic on sizes (symbol_nodes.cpp). False for a target that is none.
  bool addSymbolNode(const std::string& target, const Json& node, Names& names);
  // What PyTorch calls higher-order operators (higher_order.cpp).
  void addHigherOrder(const std::string& name, const Json& node, Names& names);
  void addConditional(const Json& node, Names& names);
  void addOperator(const std::string& target, const Json& node, Names& names);
  // Counts a batch in training mode only. False for a node that does something else.
  bool addBatchCount(const std::string& target, const Json& node, Names& names);
  // The flag of a dropout or batch norm, and the like, where it follows the module's mode; else null.
  torch::jit::Value* modeArgument(const Json& node, const std::string& name, const Json& argument);

  // The results of a graph within a node, on these operands.
  Values addInner(const Json& graph, const Values& operands);
  void bind(const Json& outputs, const Values& values, Names& names);

  GraphContext& context_;
};

// Whether any node of a graph, or of those within it, has a flag for the training mode; and whether one that
// has a choice is on.
struct ModeFlags {
  bool any = false;
  bool on = false;
};
void findModeFlags(const Json& graph, ModeFlags& flags);

// The argument of this name, or null.
const Json* findArgument(const Json& node, const std::string& name);

}  // namespace torchsearch::exported
