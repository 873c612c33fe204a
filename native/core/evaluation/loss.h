#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/core/ivalue.h>

#include <memory>
#include <string>

namespace torchsearch {

// A mean loss over one batch that can be differentiated, computed in at least float32.
class Loss {
 public:
  virtual ~Loss() = default;

  // `kind`: "crossEntropy" (logits [N, C, ...], class indices [N, ...], -100 ignored) or "mse" (equal
  // shapes). ERR_CONFIG_VALUE otherwise.
  static std::shared_ptr<const Loss> make(const std::string& kind);

  // A scalar. `output` is whatever the model returned; its tensor is found as scores find it. ERR_SCORE_INPUT
  // where shapes or dtypes do not fit.
  virtual at::Tensor of(const c10::IValue& output, const at::Tensor& target) const = 0;
};

}  // namespace torchsearch
