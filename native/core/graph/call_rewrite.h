#pragma once

#include <torch/csrc/jit/ir/ir.h>
#include <torch/script.h>

#include <cstdint>
#include <functional>
#include <map>
#include <unordered_map>
#include <utility>
#include <vector>

#include "core/graph/inlined_graph.h"

namespace torchsearch {

// Collects what the nodes of a graph were given and should have been given, every time they ran, and then
// changes the graph as little as possible to that effect: what agrees already stays as it is computed.
class CallRewrite {
 public:
  static constexpr int32_t kWhole = -1;

  // Element `element` of an int list, or the whole argument. Of an If or a loop, argument 0.
  void observe(torch::jit::Node* node, int32_t argument, int32_t element, const c10::IValue& actual,
               const c10::IValue& wanted);
  // The widths of the pieces that a chunk, split or tensor_split gives along `dimension`.
  void observePieces(torch::jit::Node* node, int64_t dimension, const std::vector<int64_t>& actual,
                     const std::vector<int64_t>& wanted);

  // `varies` tells whether a number may differ at another shape of inputs. ERR_EXPORT_CONFLICT where one node
  // would need several values.
  void apply(const std::function<bool(const torch::jit::Value*)>& varies);

 private:
  using Observations = std::vector<std::pair<c10::IValue, c10::IValue>>;  // distinct; actual, wanted
  struct Pieces {
    int64_t dimension = 0;
    bool agree = true;
    std::vector<std::vector<int64_t>> wanted;  // distinct
  };
  struct Call {
    torch::jit::Node* node = nullptr;
    std::map<int32_t, std::map<int32_t, Observations>> arguments;  // by argument, by element
    std::vector<Pieces> pieces;                                    // at most one
  };

  Call& callOf(torch::jit::Node* node);
  void rewritePieces(const Call& call);
  void rewriteArgument(const Call& call, int32_t argument, const std::map<int32_t, Observations>& elements,
                       const std::function<bool(const torch::jit::Value*)>& varies);

  std::vector<Call> calls_;
  std::unordered_map<const torch::jit::Node*, size_t> callOf_;
};

// Whether two values without tensors are equal; true for kinds that can't be compared.
bool sameValue(const c10::IValue& a, const c10::IValue& b);

}  // namespace torchsearch
