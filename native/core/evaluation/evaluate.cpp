#include "core/evaluation/evaluate.h"

#include <algorithm>
#include <chrono>

#include "core/base/error.h"
#include "core/base/failure.h"
#include "core/evaluation/batch_stream.h"
#include "core/evaluation/early_stopping.h"

namespace torchsearch {
namespace {

void checkIndex(int64_t index, const Dataset& dataset, const char* what) {
  if (index < 0 || index >= dataset.width()) {
    throw Error("ERR_DATASET", std::string("The ") + what + " is tensor " + std::to_string(index) +
                                   " of a batch, but a batch has " + std::to_string(dataset.width()) + ".");
  }
}

LoopOptions onDeviceOf(const Forwardable& model, LoopOptions options) {
  options.device = model.device();
  return options;
}

}  // namespace

void requireBatchIndices(const Dataset& dataset, const std::vector<int64_t>& inputs, int64_t target) {
  for (const int64_t index : inputs) checkIndex(index, dataset, "input");
  if (target != -1) checkIndex(target, dataset, "target");
}

LoopResult forEachBatch(const Dataset& dataset, const LoopOptions& options, const BatchFn& step,
                        const CancelToken& cancel, const ProgressFn& progress, const EnoughFn& enough) {
  requireBatchIndices(dataset, options.inputs, options.target);
  const int64_t batches =
      options.maxBatches < 0 ? dataset.batches() : std::min(options.maxBatches, dataset.batches());
  if (batches == 0)
    throw Error("ERR_EMPTY_LOADER", "The loader gives no batch; check the data and the batch limit.");

  const PassSize pass{.samples = dataset.samplesIn(batches), .batches = batches};
  const auto start = std::chrono::steady_clock::now();
  LoopResult result;
  BatchStream stream(dataset, {options.inputs, options.target, options.device, {}, 0, batches});
  for (int64_t i = 0; i < batches; ++i) {
    cancel.throwIfCancelled();
    const std::vector<at::Tensor> batch = stream.next();
    Inputs inputs;
    for (const int64_t index : options.inputs) inputs.args.emplace_back(batch[static_cast<size_t>(index)]);
    step(inputs, options.target < 0 ? at::Tensor() : batch[static_cast<size_t>(options.target)]);
    result.samples += dataset.batchSamples(i);
    result.batches = i + 1;
    if (progress) progress({result.batches, batches, ""});
    if (enough && result.batches < batches && enough(result.samples, pass)) break;
  }
  result.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return result;
}

LoopResult evaluate(Forwardable& model, const Dataset& dataset, Score& score, const LoopOptions& options,
                    const CancelToken& cancel, const ProgressFn& progress) {
  score.reset();
  const Pass modelPass(model);
  std::optional<double> bound;
  EnoughFn enough;
  if (options.stop) {
    enough = [&](int64_t samples, const PassSize& pass) {
      bound = stopsAt(score, *options.stop, samples, pass);
      return bound.has_value();
    };
  }
  LoopResult result = forEachBatch(
      dataset, onDeviceOf(model, options),
      [&](const Inputs& inputs, const at::Tensor& target) {
        scoreBatch(model, inputs, target, score, options.teacher.get(), cancel);
      },
      cancel, progress, enough);
  if (!bound) result.value = score.value();
  result.bound = bound;
  return result;
}

LoopResult forwardAll(Forwardable& model, const Dataset& dataset, const LoopOptions& options,
                      const CancelToken& cancel, const ProgressFn& progress) {
  const Pass pass(model);
  return forEachBatch(
      dataset, onDeviceOf(model, options),
      [&](const Inputs& inputs, const at::Tensor&) { model.run(inputs, cancel); }, cancel, progress);
}

void scoreBatch(Forwardable& model, const Inputs& inputs, const at::Tensor& target, Score& score,
                Forwardable* teacher, const CancelToken& cancel) {
  const c10::IValue output = model.evaluate(inputs, cancel);
  c10::IValue reference;
  if (score.needsTeacher() && teacher != nullptr) reference = teacher->evaluate(inputs, cancel);
  withFailureCode("ERR_SCORE_INPUT", [&] { score.add(output, target, reference, inputs); });
}

}  // namespace torchsearch
