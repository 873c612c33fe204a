#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "core/base/progress.h"
#include "core/call/forwardable.h"
#include "core/evaluation/dataset.h"
#include "core/evaluation/early_stopping.h"
#include "core/evaluation/score.h"

namespace torchsearch {

// Which tensors of a batch go where.
struct LoopOptions {
  std::vector<int64_t> inputs{0};                  // indices, in the order of the model's arguments
  int64_t target = -1;                             // index, or -1 for none
  std::shared_ptr<Forwardable> teacher = nullptr;  // called on the same inputs
  int64_t maxBatches = -1;                         // -1: all
  c10::Device device = c10::kCPU;                  // where batches are wanted; evaluate() asks the model
  std::optional<StopRule> stop = std::nullopt;     // of `evaluate`: when its score is no longer of use
};

struct LoopResult {
  double value = 0;  // the score; 0 without one; of the batches that ran
  // The best that the score of all batches could be, where the loop stopped before them.
  std::optional<double> bound = std::nullopt;
  int64_t samples = 0;
  int64_t batches = 0;
  double seconds = 0;  // wall time of the loop
};

// ERR_DATASET where a batch has no such tensors; `target` may be -1.
void requireBatchIndices(const Dataset& dataset, const std::vector<int64_t>& inputs, int64_t target);

// What is done with a batch; the target is undefined where LoopOptions::target is -1.
using BatchFn = std::function<void(const Inputs& inputs, const at::Tensor& target)>;

// Asked between batches whether those that ran are enough, with their samples and the size of a whole pass.
using EnoughFn = std::function<bool(int64_t samples, const PassSize& pass)>;

// Calls `step` with every batch, on the options' device (BatchStream). Stops between batches once `cancel` is
// set, or when `enough`. ERR_EMPTY_LOADER, ERR_DATASET, and what `step` throws.
LoopResult forEachBatch(const Dataset& dataset, const LoopOptions& options, const BatchFn& step,
                        const CancelToken& cancel, const ProgressFn& progress, const EnoughFn& enough = {});

// Runs the model over the data set and scores every batch; the score is reset first. Stops between batches
// once `cancel` is set, or by the options' rule. ERR_EMPTY_LOADER, ERR_DATASET, ERR_SCORE_*,
// ERR_EARLY_STOPPING, and what the model throws.
LoopResult evaluate(Forwardable& model, const Dataset& dataset, Score& score, const LoopOptions& options,
                    const CancelToken& cancel, const ProgressFn& progress);

// The same loop without a score: for calibration, recording and timing.
LoopResult forwardAll(Forwardable& model, const Dataset& dataset, const LoopOptions& options,
                      const CancelToken& cancel, const ProgressFn& progress);

// One batch from anywhere, added to the score.
void scoreBatch(Forwardable& model, const Inputs& inputs, const at::Tensor& target, Score& score,
                Forwardable* teacher, const CancelToken& cancel);

}  // namespace torchsearch
