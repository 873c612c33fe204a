#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "core/forward/executor.h"
#include "core/graph/program.h"
#include "core/space/graph_constants.h"

namespace torchsearch {

// A choice of the user's own: among tensors in the place of one parameter or buffer, or among numbers in the
// place of constants of the graph. The model's own value is the last choice.
struct CustomHyperparameter {
  std::string name;
  std::string tensor;                    // what it replaces; empty for constants
  std::vector<at::Tensor> tensors;       // whole, on the module's device, in its order of channels
  std::vector<GraphConstant> constants;  // that take the same number; none for a tensor
  std::vector<double> numbers;
  int32_t begins = 0;  // the first instruction on the dummy input that it changes

  // Position of the model's own value among the choices.
  int64_t own() const { return static_cast<int64_t>(tensor.empty() ? numbers.size() : tensors.size()); }
  // Whether an instruction computes with what is chosen.
  bool changes(const Program& program, const Instruction& instruction) const;
};

using CustomHyperparameters = std::vector<std::shared_ptr<const CustomHyperparameter>>;

// What is chosen of each.
class CustomChoice {
 public:
  CustomChoice() = default;
  // `positions` among the choices of each of `all`.
  CustomChoice(std::shared_ptr<const CustomHyperparameters> all, std::vector<int64_t> positions)
      : all_(std::move(all)), positions_(std::move(positions)) {}

  const std::vector<int64_t>& positions() const { return positions_; }

  // The tensor for a parameter or buffer: `own`, or what is chosen in its place.
  at::Tensor tensorFor(const Slot& slot, const at::Tensor& own) const;
  // The numbers for a recording of the same graph, where they are not its own; ascending.
  std::vector<ArgumentOverride> numbersFor(const Program& program) const;

  bool operator==(const CustomChoice& other) const { return positions_ == other.positions_; }

 private:
  std::shared_ptr<const CustomHyperparameters> all_;
  std::vector<int64_t> positions_;
};

// Those of `extra` come after those of `first`; both ascend by instruction, then argument, and none is in
// both.
std::vector<ArgumentOverride> mergedOverrides(std::vector<ArgumentOverride> first,
                                              const std::vector<ArgumentOverride>& extra);

}  // namespace torchsearch
