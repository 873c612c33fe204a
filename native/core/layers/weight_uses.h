#pragma once

#include <torch/csrc/jit/ir/ir.h>
#include <torch/script.h>

#include <cstdint>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "core/graph/interpreter.h"
#include "core/layers/weight_matrix.h"

namespace torchsearch {

// What an operator does with a parameter.
struct WeightUse {
  int32_t parameter = 0;  // in WeightTracker::names
  // What multiplies what; nothing where the operator isn't a layer's that takes the parameter as its weight.
  std::optional<WeightMatrix> matrix;
  // Why not.
  std::string reason;
};

// Follows a module's parameters, and plain views of them, through a run of the interpreter.
class WeightTracker {
 public:
  explicit WeightTracker(const torch::jit::Module& module);
  // Of these parameters, by path.
  WeightTracker(std::vector<std::string> names, std::vector<at::Tensor> tensors);

  // Paths, each tensor's first one; and the tensors.
  const std::vector<std::string>& names() const { return names_; }
  const std::vector<at::Tensor>& tensors() const { return tensors_; }

  // What an operator that ran does with parameters. Views of parameters (t, transpose) are no uses, but
  // followed.
  std::vector<WeightUse> see(const c10::FunctionSchema& schema, const std::vector<c10::IValue>& arguments,
                             const std::vector<c10::IValue>& results);

 private:
  struct Place {
    int32_t parameter = 0;
    bool transposed = false;
  };

  std::vector<std::string> names_;
  std::vector<at::Tensor> tensors_;
  std::unordered_map<const c10::TensorImpl*, Place> places_;
  std::vector<at::Tensor> views_;  // held, so that no other tensor gets their address
};

}  // namespace torchsearch
