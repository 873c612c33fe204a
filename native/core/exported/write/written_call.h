#pragma once

#include <ATen/core/function_schema.h>

#include <optional>
#include <string>
#include <vector>

#include "core/graph/program.h"

namespace torchsearch::exported {

// An instruction as an operator that Python has too: some are TorchScript's own.
struct WrittenCall {
  struct Argument {
    std::string name;
    c10::TypePtr type;  // with what numbers stand for, such as dtypes
    bool keyword = false;
    // By the probes' points; empty for an argument that is left out.
    std::vector<const ValueTree*> values;
  };
  std::string target;  // "torch.ops.aten.conv2d.default"
  std::string name;    // "conv2d"
  std::vector<Argument> arguments;
};

// `steps` are one instruction at each of the probes' points. Arguments that are their defaults are left out
// where no other comes after them. Nothing for an operator that Python doesn't have.
std::optional<WrittenCall> writtenCall(const std::vector<const Instruction*>& steps, const Program& program);

// Whether it writes into one of its arguments.
bool writesArguments(const c10::FunctionSchema& schema);

// Whether two values without tensors are the same.
bool sameConstant(const c10::IValue& a, const c10::IValue& b);

}  // namespace torchsearch::exported
