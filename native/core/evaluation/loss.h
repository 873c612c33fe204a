#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/core/ivalue.h>

#include <cstdint>
#include <memory>

#include "core/evaluation/score_input.h"

namespace torchsearch {

enum class LossKind : uint8_t {
  kCrossEntropy,      // logits [N, C, ...], class indices [N, ...], -100 ignored
  kMeanSquaredError,  // equal shapes
};

// A mean loss over one batch that can be differentiated, computed in at least float32.
class Loss {
 public:
  virtual ~Loss() = default;

  static std::shared_ptr<const Loss> make(LossKind kind, OutputView view = {});

  // A scalar. `output` is whatever the model returned; the view tells its tensor. ERR_SCORE_INPUT
  // where shapes or dtypes do not fit.
  virtual at::Tensor of(const c10::IValue& output, const at::Tensor& target) const = 0;
  // The samples' own losses [N]; for equally many targets in each, `of` is their mean.
  virtual at::Tensor ofSamples(const c10::IValue& output, const at::Tensor& target) const = 0;
};

}  // namespace torchsearch
