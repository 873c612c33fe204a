#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/core/ivalue.h>

#include <cstdint>
#include <string>

namespace torchsearch {

// What scores and losses accept of outputs and targets. All throw ERR_SCORE_INPUT.

[[noreturn]] void misfit(const std::string& message);

std::string shapeOf(const at::Tensor& tensor);

// The tensor that counts in a model's output: the first of a tuple or list; of a record the one under
// "logits" or "out", or its only one.
at::Tensor scoredTensor(const c10::IValue& value, const char* whose);

// Targets of this class are left out, as in torch.nn.functional.cross_entropy.
inline constexpr int64_t kIgnoredClass = -100;

// Logits [N, C] or [N, C, ...] and class indices [N] or [N, ...].
void requireClasses(const at::Tensor& logits, const at::Tensor& target);

// Every target is one of the logits' classes, or ignored.
void requireClassRange(const at::Tensor& logits, const at::Tensor& target);

void requireSameShape(const at::Tensor& output, const at::Tensor& target);

}  // namespace torchsearch
