#pragma once

#include <torch/script.h>

#include <cstdint>
#include <memory>

#include "core/call/forwardable.h"
#include "core/graph/interpreter.h"
#include "core/model/module.h"

namespace torchsearch {

// Runs a module's forward operator by operator, as it is written. TorchScript's own executor specializes a
// method over its first calls, which changes the last bits of results; here a step gives the same bits
// whatever has run before, and gradients are those of the operators. The caller decides whether gradients are
// recorded, and holds the module's lock.
class GraphForward : private InterpreterGuide {
 public:
  enum class Mode : uint8_t {
    kEvaluate,
    // Batch norms take the batch's statistics, dropout drops: as the module's `training` says, and in a
    // traced module, which asks for no mode, everywhere.
    kTrain,
    // As kEvaluate, but batch norms average the batches' statistics into their running ones.
    kRecalibrate,
  };

  // ERR_UNSUPPORTED_GRAPH, ERR_NO_FORWARD, ERR_CLOSED
  explicit GraphForward(const std::shared_ptr<Module>& module);

  // Inputs are moved to the module's device. `batch` counts from 0, for kRecalibrate. ERR_INPUT, ERR_FORWARD
  c10::IValue run(const Inputs& inputs, Mode mode, int64_t batch = 0);

  // Whether the graph has a batch norm with running statistics that kRecalibrate would change.
  bool hasBatchNorm() const { return hasBatchNorm_; }

 private:
  torch::jit::Operation* beforeOperator(torch::jit::Node* node, torch::jit::Operation& operation,
                                        std::vector<c10::IValue>& arguments) override;
  int64_t decide(torch::jit::Node*, int64_t value) override { return value; }
  bool speculatesAt(torch::jit::Node*) override { return false; }

  std::shared_ptr<Module> module_;
  std::shared_ptr<InlinedGraph> graph_;
  std::unique_ptr<Interpreter> interpreter_;
  bool asksForMode_ = false;  // the graph reads `training`
  bool hasBatchNorm_ = false;
  Mode mode_ = Mode::kEvaluate;
  int64_t batch_ = 0;
};

}  // namespace torchsearch
