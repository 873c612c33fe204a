#pragma once

#include <ATen/core/Tensor.h>

#include <memory>
#include <vector>

#include "core/base/cancel.h"
#include "core/evaluation/loss.h"
#include "core/forward/executor.h"
#include "core/graph/dependency.h"

namespace torchsearch {

// A batch for what learns from data: the whole model, ready to run on it.
struct MeasuredBatch {
  const Dependencies& dependencies;       // at the batch's shape
  Executor& executor;                     // of the program at that shape
  const std::vector<at::Tensor>& values;  // by SlotId: the whole model's parameters, buffers and constants
  const std::vector<at::Tensor>& inputs;  // in the order of Program::inputs
  const at::Tensor& target;               // undefined for none
  // What runs in place of the program where no gradients are wanted; null for itself.
  std::shared_ptr<const PreparedProgram> prepared;
};

// Learns from batches that the whole model runs on, whatever is selected. One thread at a time.
class Measure {
 public:
  virtual ~Measure() = default;

  virtual bool needsTarget() const { return false; }
  // Whether it looks at each operator as the model is written, so that nothing may run in its place.
  virtual bool needsOperators() const { return false; }

  // How outputs are read from now on, for a measure that reads some.
  virtual void readOutputs(const OutputView&) {}

  // Learns from one more batch. Leaves the module as it is. ERR_FORWARD, ERR_ABORTED, and what the measure
  // throws.
  virtual void add(const MeasuredBatch& batch, const CancelToken& cancel) = 0;
};

}  // namespace torchsearch
