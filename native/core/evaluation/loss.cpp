#include "core/evaluation/loss.h"

#include <ATen/ATen.h>

#include "core/evaluation/score_input.h"

namespace torchsearch {

namespace {

at::Tensor atLeastFloat(const at::Tensor& tensor) {
  return tensor.scalar_type() == at::kDouble ? tensor : tensor.to(at::kFloat);
}

class CrossEntropyLoss : public Loss {
 public:
  at::Tensor of(const c10::IValue& output, const at::Tensor& target) const override {
    const at::Tensor logits = scoredTensor(output, "model");
    requireClasses(logits, target);
    requireClassRange(logits, target);
    return at::cross_entropy_loss(atLeastFloat(logits), target.to(logits.device(), at::kLong));
  }
};

class MeanSquaredErrorLoss : public Loss {
 public:
  at::Tensor of(const c10::IValue& output, const at::Tensor& target) const override {
    const at::Tensor values = scoredTensor(output, "model");
    requireSameShape(values, target);
    const at::Tensor exact = atLeastFloat(values);
    return at::mse_loss(exact, target.to(exact.device(), exact.scalar_type()));
  }
};

}  // namespace

std::shared_ptr<const Loss> Loss::make(LossKind kind) {
  if (kind == LossKind::kCrossEntropy) return std::make_shared<CrossEntropyLoss>();
  return std::make_shared<MeanSquaredErrorLoss>();
}

}  // namespace torchsearch
