#pragma once

#include <torch/script.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "core/graph/program.h"
#include "core/quantization/quantizable_layers.h"

namespace torchsearch {

// Runs a layer's operator on other arguments, or looks at them. `stack` holds the arguments by position and
// receives the results.
class LayerHook {
 public:
  virtual ~LayerHook() = default;
  virtual void call(size_t layer, torch::jit::Stack& stack, torch::jit::Operation& run) = 0;
};

// Who is called in the place of the layers' operators; null for nobody. Programs that were made with it share
// it, and see a change at the next call.
using HookSlot = std::shared_ptr<LayerHook*>;

// A copy of a program, of any shape of inputs, whose layers go through `hook`.
Program withHooks(const Program& program, const std::vector<QuantLayer>& layers, const HookSlot& hook);

// Sets a hook for a scope.
class HookScope {
 public:
  HookScope(const HookSlot& slot, LayerHook* hook) : slot_(slot), before_(*slot) { *slot_ = hook; }
  ~HookScope() { *slot_ = before_; }
  HookScope(const HookScope&) = delete;
  HookScope& operator=(const HookScope&) = delete;

 private:
  HookSlot slot_;
  LayerHook* before_;
};

}  // namespace torchsearch
