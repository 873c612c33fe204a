#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/core/ivalue.h>

#include <cstdint>
#include <string>

namespace torchsearch {

// What scores and losses accept of outputs and targets. All throw ERR_SCORE_INPUT.

[[noreturn]] void misfit(const std::string& message);

std::string shapeOf(const at::Tensor& tensor);

// How outputs are read.
struct OutputView {
  // The path of the tensor that counts: names and positions, with dots between. Empty for the first one of a
  // tuple or list, and of a record for the one under "logits" or "out", or its only one.
  std::string key;
  // Whether its classes are in its last dimension, as in [N, T, V], and not in the second one.
  bool classesLast = false;
};

// The tensor that counts in a model's output, as the model gave it. A tensor stands for itself, whatever the
// key.
at::Tensor pickedTensor(const c10::IValue& value, const char* whose, const OutputView& view = {});

// The same with its classes in the second dimension.
at::Tensor classesSecond(const at::Tensor& tensor, const OutputView& view);

// Both: what scores and losses of classes are of.
at::Tensor scoredTensor(const c10::IValue& value, const char* whose, const OutputView& view = {});

// Targets of this class are left out, as in torch.nn.functional.cross_entropy.
inline constexpr int64_t kIgnoredClass = -100;

// Logits [N, C] or [N, C, ...] and class indices [N] or [N, ...].
void requireClasses(const at::Tensor& logits, const at::Tensor& target);

// Every target is one of the logits' classes, or ignored.
void requireClassRange(const at::Tensor& logits, const at::Tensor& target);

void requireSameShape(const at::Tensor& output, const at::Tensor& target);

}  // namespace torchsearch
