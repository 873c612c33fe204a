#pragma once

#include <torch/csrc/jit/ir/ir.h>

#include <cstdint>
#include <functional>
#include <optional>
#include <unordered_set>
#include <utility>

namespace torchsearch {

// Which numbers of a graph may differ at another shape of its inputs: those computed from a size that is no
// number of channels, from a tensor's values, or from a number among the inputs.
class VaryingNumbers {
 public:
  // Whether what an `aten::size` node told may differ: of one dimension, or of any.
  using SizeVaries = std::function<bool(const torch::jit::Node*, std::optional<int64_t>)>;

  explicit VaryingNumbers(SizeVaries sizeVaries) : sizeVaries_(std::move(sizeVaries)) {}

  bool varies(const torch::jit::Value* value) const;
  // One element of a list of numbers.
  bool elementVaries(const torch::jit::Value* list, int64_t element) const;

 private:
  using Seen = std::unordered_set<const torch::jit::Value*>;
  bool varies(const torch::jit::Value* value, Seen& seen) const;
  bool loopVaries(const torch::jit::Node* loop, size_t carried, Seen& seen) const;

  SizeVaries sizeVaries_;
};

}  // namespace torchsearch
