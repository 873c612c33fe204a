#include "core/graph/call_shape.h"

#include <sstream>
#include <vector>

#include "core/graph/recorder.h"

namespace torchsearch {

std::string shapeKey(const InlinedGraph& graph, const Inputs& inputs) {
  std::string key;
  for (const auto& argument : arrangeInputs(graph, inputs)) {
    if (argument.isModule()) continue;
    std::vector<at::Tensor> tensors;
    collectTensors(argument, tensors);
    if (tensors.empty()) {
      std::ostringstream text;
      text << argument;
      key += text.str() + ';';
    }
    for (const auto& tensor : tensors) {
      key += c10::toString(tensor.scalar_type());
      for (const int64_t size : tensor.sizes()) key += ',' + std::to_string(size);
      key += ';';
    }
  }
  return key;
}

}  // namespace torchsearch
