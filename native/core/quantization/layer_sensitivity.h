#pragma once

#include <torch/script.h>

#include <memory>
#include <vector>

#include "core/base/cancel.h"
#include "core/evaluation/loss.h"
#include "core/evaluation/score.h"
#include "core/forward/executor.h"
#include "core/quantization/layer_quantizers.h"

namespace torchsearch {

// One batch's part of a mean.
struct SensitivityPart {
  std::vector<double> sums;
  int64_t count = 0;
};

// What a batch is run with: executors of a program with hooks, and what the slots hold.
struct QuantBatch {
  Executor& executor;
  const Bindings& bindings;
  const std::vector<at::Tensor>& inputs;
};

// How much each layer's rounding in each format raises the loss, by its second-order estimate: half the sum,
// over the layer's output, of (dL/dy)^2 (y' - y)^2, where y' is the output with weights and input rounded and
// the squared gradient of a sample's loss stands for the Hessian's diagonal (the empirical Fisher
// information; Theis et al., "Faster gaze prediction with dense networks and Fisher pruning", 2018; the score
// of ModelOpt's AutoQuantize but for the half). Sums over the batch's samples, by layer and then format; the
// count is of samples. The mean loss is taken over the first dimension of the target. ERR_GRADIENT,
// ERR_SENSITIVITY_NAN
SensitivityPart gradientSensitivity(LayerQuantizers& quantizers, const HookSlot& hook,
                                    const QuantBatch& batch, const at::Tensor& target, const Loss& loss,
                                    const CancelToken& cancel);

// How far the output goes from the full model's when the layers of one group alone are rounded, in each
// format: a KL divergence (full || rounded, of softmax outputs, in nats) or a mean squared error. Sums by
// format; what precedes the group runs once. ERR_SCORE_INPUT, ERR_SENSITIVITY_NAN
SensitivityPart outputSensitivity(LayerQuantizers& quantizers, const HookSlot& hook, const QuantBatch& batch,
                                  int32_t group, ScoreKind measure, const OutputView& view,
                                  const CancelToken& cancel);

}  // namespace torchsearch
