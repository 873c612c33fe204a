#pragma once

#include <torch/script.h>

#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "core/base/cancel.h"
#include "core/base/progress.h"
#include "core/dist/exchange.h"
#include "core/evaluation/dataset.h"
#include "core/train/learner.h"
#include "core/train/optimizer.h"
#include "core/train/schedule.h"
#include "core/train/sharded_step.h"

namespace torchsearch {

struct TrainSettings {
  OptimizerSettings optimizer;
  Schedule schedule;
  double clipNorm = 0;  // 0: gradients are not clipped
  uint64_t seed = 0;    // of what random operators draw
  // Names of the parameters that are trained; empty for those that require gradients, or all where none does.
  std::vector<std::string> trainable;
  int64_t shards = 1;  // of each batch, see ShardedStep
};

// A stretch of one epoch.
struct TrainStretch {
  std::vector<int64_t> inputs{0};  // indices, in a batch, of the model's arguments
  int64_t target = -1;             // index, or -1 for none
  // Number of the epoch, whose order of the samples is drawn; without one they come in the data's order.
  std::optional<int64_t> shuffledEpoch;
  int64_t first = 0;    // batch
  int64_t count = 0;    // batches
  double seconds = -1;  // stops after the batch that ends later than this; -1: never
};

struct StretchResult {
  std::vector<double> losses;  // of the batches that were done
  int64_t samples = 0;
  double seconds = 0;
};

struct TrainStatus {
  int64_t steps = 0;        // done
  double loss = 0;          // of the last step
  double learningRate = 0;  // of the last step
};

// Trains weights in place, step by step. Everything random follows from the seed and the step's number, so a
// trainer that was given another one's state goes on just as that one would have. One thread at a time, but
// for `status`.
class Trainer {
 public:
  // ERR_CONFIG_VALUE; ERR_DTYPE for weights of half precision, ERR_NO_PARAMETERS where there is nothing to
  // train
  Trainer(std::shared_ptr<Learner> learner, const TrainSettings& settings);

  // From now on the shards of each step are shared with the ranks of a group, all of which run the same
  // steps. ERR_CONFIG_VALUE for a trainer with a single shard.
  void share(std::unique_ptr<Exchange> exchange);

  // Stops between two batches once `cancel` is set, without throwing. ERR_EMPTY_LOADER, ERR_DATASET,
  // ERR_LOSS_NAN before the step with such a loss, and what the model throws.
  StretchResult run(const Dataset& dataset, const TrainStretch& stretch, const CancelToken& cancel,
                    const ProgressFn& progress);

  // One step on a batch from anywhere; its loss. ERR_ABORTED where it waits for other ranks. As `run`
  // otherwise.
  double step(const TrainBatch& batch, const CancelToken& cancel);

  // A step in two halves, for a loss that is computed elsewhere; see Learner::begin.
  c10::IValue begin(const TrainBatch& batch);
  double finish(double loss, const at::Tensor& gradient);
  void abandon();

  // See Learner::readOutputs.
  void readOutputs(const OutputView& view) { learner_->readOutputs(view); }

  TrainStatus status() const;
  const std::vector<NamedTensor>& trained() const { return optimizer_->parameters(); }

  // Remembers the weights and buffers as they are now. ERR_LOSS_NAN where they are not finite.
  void keep();
  // Puts them back; whether there were any.
  bool restoreKept();

  // All that a later trainer needs, beside the number of steps: copies of "weights/NAME" (buffers among
  // them), "optimizer/NAME.WHAT" and "kept/NAME".
  std::vector<NamedTensor> state() const;
  // ERR_CHECKPOINT_KEYS
  void load(const std::vector<NamedTensor>& state, int64_t steps);

  // See Learner::recalibrate. Gives back how many batches there were; 0 where there is no batch norm.
  int64_t recalibrate(const Dataset& dataset, const std::vector<int64_t>& inputs, int64_t maxBatches,
                      const CancelToken& cancel, const ProgressFn& progress);
  bool recalibrateBatch(const Inputs& inputs, int64_t batch) { return learner_->recalibrate(inputs, batch); }

 private:
  class Gradients;  // while it lives, the trained parameters require gradients

  std::vector<NamedTensor> weights() const;
  double stepHeld(const TrainBatch& batch, const CancelToken& cancel);
  double changeWeights(double loss);
  uint64_t stepSeed() const;

  std::shared_ptr<Learner> learner_;
  TrainSettings settings_;
  std::unique_ptr<Optimizer> optimizer_;
  std::unique_ptr<Exchange> exchange_;    // null without other ranks
  std::unique_ptr<ShardedStep> sharded_;  // null for a single shard
  std::vector<NamedTensor> kept_;
  mutable std::mutex statusMutex_;
  TrainStatus status_;
};

}  // namespace torchsearch
