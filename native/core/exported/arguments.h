#pragma once

#include <string>

#include "core/exported/graph_scope.h"

namespace torchsearch::exported {

// Makes values of a program's arguments, in the graph at its place of insertion.
class ArgumentBuilder {
 public:
  ArgumentBuilder(GraphContext& context, const Names& names) : context_(context), names_(names) {}

  // `wanted` is what the operator's schema says, which decides between an int and a float, say.
  torch::jit::Value* make(const Json& argument, const c10::TypePtr& wanted) const;
  // A number by its name, or a constant: {"as_name": "s"} or {"as_int": 3}.
  torch::jit::Value* number(const Json& value) const;
  torch::jit::Value* list(const c10::TypePtr& element, const std::vector<torch::jit::Value*>& items) const;
  torch::jit::Value* constant(const c10::IValue& value) const;

 private:
  torch::jit::Value* single(const std::string& kind, const Json& value, const c10::TypePtr& wanted) const;
  torch::jit::Value* several(const std::string& kind, const Json& values, const c10::TypePtr& element) const;
  torch::jit::Value* device(const Json& value) const;

  GraphContext& context_;
  const Names& names_;
};

}  // namespace torchsearch::exported
