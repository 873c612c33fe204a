#include "core/quantization/layer_hook.h"

#include <unordered_map>

namespace torchsearch {

Program withHooks(const Program& program, const std::vector<QuantLayer>& layers, const HookSlot& hook) {
  std::unordered_map<int32_t, size_t> byNode;
  for (size_t i = 0; i < layers.size(); ++i) byNode.emplace(layers[i].node, i);
  Program hooked = program;
  for (auto& instruction : hooked.instructions) {
    if (!instruction.runs()) continue;
    const auto found = byNode.find(program.graph->indexOf(instruction.node));
    if (found == byNode.end()) continue;
    instruction.operation = [hook, layer = found->second,
                             run = instruction.operation](torch::jit::Stack& stack) mutable {
      if (*hook == nullptr) {
        run(stack);
      } else {
        (*hook)->call(layer, stack, run);
      }
    };
  }
  return hooked;
}

}  // namespace torchsearch
