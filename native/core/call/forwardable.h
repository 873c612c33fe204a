#pragma once

#include <ATen/core/function_schema.h>
#include <ATen/core/ivalue.h>

#include <memory>

#include "core/base/cancel.h"
#include "core/base/cleanup.h"
#include "core/call/inputs.h"

namespace torchsearch {

// Whatever can be called on a batch: a whole module, or the active subnet of a search space.
class Forwardable {
 public:
  virtual ~Forwardable() = default;
  // Runs without recording gradients. Throws ERR_ABORTED soon after `cancel` is set, ERR_CLOSED on a closed
  // handle, ERR_INPUT_* when the inputs do not fit, ERR_FORWARD when the model itself fails.
  virtual c10::IValue forward(const Inputs& inputs, const CancelToken& cancel) = 0;
  // As forward, by the fastest way that there is: for loops over many batches. Outputs may differ by
  // rounding.
  virtual c10::IValue evaluate(const Inputs& inputs, const CancelToken& cancel) {
    return forward(inputs, cancel);
  }
  // The same where only what the forward changes is wanted (running statistics), so that the rest of it may
  // be left out.
  virtual void run(const Inputs& inputs, const CancelToken& cancel) { evaluate(inputs, cancel); }
  // Brackets forwards between which nobody changes the weights: the batches of a loop.
  virtual void beginPass() {}
  virtual void endPass() {}
  virtual c10::Device device() const = 0;
  // The signature of `forward`, `self` first, that guides the conversion of inputs; null when it is not
  // known.
  virtual std::shared_ptr<const c10::FunctionSchema> schema() const { return nullptr; }
};

// A pass for as long as it lives.
class Pass {
 public:
  explicit Pass(Forwardable& model) : model_(model) { model_.beginPass(); }
  ~Pass() {
    cleanUp([this] { model_.endPass(); });
  }
  Pass(const Pass&) = delete;
  Pass& operator=(const Pass&) = delete;

 private:
  Forwardable& model_;
};

}  // namespace torchsearch
