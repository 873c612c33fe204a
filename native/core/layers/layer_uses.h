#pragma once

#include <torch/script.h>

#include <functional>
#include <vector>

#include "core/forward/executor.h"
#include "core/layers/weight_uses.h"

namespace torchsearch {

// Sees what the instructions of a run do with the module's parameters.
class LayerUses : public ExecutionObserver {
 public:
  using Visit = std::function<void(int32_t instruction, const WeightUse& use,
                                   const std::vector<c10::IValue>& arguments)>;

  // The run computes with the module's own tensors.
  LayerUses(const Program& program, WeightTracker tracker, Visit visit);

  const WeightTracker& tracker() const { return tracker_; }

  void beforeInstruction(int32_t instruction, const std::vector<at::Tensor>& values) override;
  void afterInstruction(int32_t instruction, const std::vector<at::Tensor>& values) override;

 private:
  const Program& program_;
  WeightTracker tracker_;
  Visit visit_;
  std::vector<c10::IValue> arguments_;
};

}  // namespace torchsearch
