#pragma once

#include <torch/csrc/jit/ir/ir.h>
#include <torch/script.h>

#include <cstdint>
#include <string>
#include <vector>

#include "core/graph/dependency.h"
#include "core/graph/program.h"

namespace torchsearch {

// A number that an operator is given, and that no size or shape follows from.
struct GraphConstant {
  // Path of the module, operator and argument, "layer1.0.act.leaky_relu.negative_slope"; "#2" and so on after
  // it for later calls of the same name, in the order of execution.
  std::string name;
  std::string op;        // "aten::leaky_relu"
  std::string argument;  // its name in the operator's schema
  c10::IValue value;     // double, int or bool, or a tensor of one, as traces have them
  const torch::jit::Node* node = nullptr;
  int32_t position = 0;  // of the argument in the schema

  double number() const;
  at::ScalarType type() const;  // kDouble, kLong or kBool
  // A number as the operator takes it in this place.
  c10::IValue valueOf(double number) const;
};

// Those of the operators that run, in the order of execution; finite ones that the graph doesn't compute from
// shapes, tensors or inputs. One is told although the graph leaves it out: the scale of fused attention, 1 /
// sqrt(width of a head), where heads keep their width.
std::vector<GraphConstant> graphConstants(const Dependencies& dependencies);

}  // namespace torchsearch
