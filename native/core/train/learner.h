#pragma once

#include <torch/script.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "core/call/forwardable.h"
#include "core/evaluation/score_input.h"
#include "core/model/module.h"

namespace torchsearch {

struct TrainBatch {
  Inputs inputs;
  at::Tensor target;  // undefined for none
};

// What a Trainer trains: it knows the weights, and how a batch becomes gradients.
class Learner {
 public:
  virtual ~Learner() = default;

  // Every parameter and buffer, each tensor once. ERR_CLOSED
  virtual std::vector<NamedTensor> parameters() const = 0;
  virtual std::vector<NamedTensor> buffers() const = 0;
  virtual c10::Device device() const = 0;

  // How outputs, the model's and a teacher's, are read from now on.
  virtual void readOutputs(const OutputView& view) = 0;

  // Holds the model ready for steps, in training mode and locked, as long as the result lives.
  virtual std::shared_ptr<void> hold() = 0;

  // Adds a batch's gradients to those of the parameters that require some, and gives its loss. `seed` is that
  // of the step, for what the learner itself draws. When the loss is not finite there are no gradients.
  virtual double learn(const TrainBatch& batch, uint64_t seed) = 0;

  // The two halves of `learn`, for a loss that is computed elsewhere: the output, whose graph is kept, and
  // the backward pass from the gradient of that loss with respect to the output's scored tensor, which gives
  // the loss with the teacher's part. `abandon` forgets what was begun, and takes back what it changed of the
  // buffers.
  virtual c10::IValue begin(const TrainBatch& batch) = 0;
  virtual double finish(double loss, const at::Tensor& gradient) = 0;
  virtual void abandon() = 0;

  // One batch of a pass that averages the batch norms' statistics, numbered from 0. Whether there is any
  // batch norm. The caller holds nothing.
  virtual bool recalibrate(const Inputs& inputs, int64_t batch) = 0;
};

}  // namespace torchsearch
