#pragma once

#include <map>
#include <string>
#include <vector>

#include "core/exported/arguments.h"
#include "core/exported/graph_scope.h"
#include "core/exported/pytree.h"

namespace torchsearch::exported {

// A program's inputs: their types, their contract (core/call/input_contract.h), and their leaves taken out of
// whatever holds them.
class InputTree {
 public:
  // `leaves` are those input specs that users give, in order.
  InputTree(GraphContext& context, const Json& program, std::vector<const Json*> leaves);

  struct Argument {
    c10::TypePtr type;
    c10::IValue contract;
    // Of a constant: what it was.
    std::optional<c10::IValue> constant;
  };
  // One argument of `forward`. To be called for each, in order.
  Argument describe(const Tree& tree);
  // The symbols of what was described, by their numbers in the contract.
  std::vector<std::string> symbols() const;
  // Names the leaves that `value` holds. Likewise.
  void unpack(torch::jit::Value* value, const Tree& tree, Names& names);

 private:
  const Json& leaf(size_t index) const;
  Argument describeLeaf(const Json& spec);
  c10::TypePtr recordType(const Tree& tree, const std::vector<c10::TypePtr>& types);
  c10::IValue tensorContract(const std::string& name);
  // Three numbers of a contract. A size that is a line of a symbol adds its numbers to `lines`.
  std::vector<int64_t> sizeRange(const Json& size, int64_t dimension, std::vector<int64_t>& lines);

  GraphContext& context_;
  const Json& ranges_;
  const Json& tensors_;
  std::vector<const Json*> leaves_;
  size_t described_ = 0;
  size_t unpacked_ = 0;
  size_t records_ = 0;
  std::map<std::string, int64_t> symbols_;
};

// The outputs, nested as the tree says.
torch::jit::Value* packOutputs(GraphContext& context, const Tree& tree,
                               const std::vector<torch::jit::Value*>& leaves);

}  // namespace torchsearch::exported
