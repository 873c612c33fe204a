#include "core/evaluation/loss.h"

#include <ATen/ATen.h>

#include <utility>

namespace torchsearch {

namespace {

at::Tensor atLeastFloat(const at::Tensor& tensor) {
  return tensor.scalar_type() == at::kDouble ? tensor : tensor.to(at::kFloat);
}

class CrossEntropyLoss : public Loss {
 public:
  explicit CrossEntropyLoss(OutputView view) : view_(std::move(view)) {}

  at::Tensor of(const c10::IValue& output, const at::Tensor& target) const override {
    const at::Tensor logits = scoredTensor(output, "model", view_);
    requireClasses(logits, target);
    requireClassRange(logits, target);
    return at::cross_entropy_loss(atLeastFloat(logits), target.to(logits.device(), at::kLong));
  }

  at::Tensor ofSamples(const c10::IValue& output, const at::Tensor& target) const override {
    const at::Tensor logits = scoredTensor(output, "model", view_);
    requireClasses(logits, target);
    requireClassRange(logits, target);
    const at::Tensor classes = target.to(logits.device(), at::kLong);
    const at::Tensor losses =
        at::cross_entropy_loss(atLeastFloat(logits), classes, {}, at::Reduction::None, kIgnoredClass);
    const at::Tensor counted = classes.ne(kIgnoredClass).reshape({classes.size(0), -1}).sum(1);
    return losses.reshape({classes.size(0), -1}).sum(1) / counted.clamp_min(1);
  }

 private:
  OutputView view_;
};

class MeanSquaredErrorLoss : public Loss {
 public:
  explicit MeanSquaredErrorLoss(OutputView view) : view_(std::move(view)) {}

  at::Tensor of(const c10::IValue& output, const at::Tensor& target) const override {
    const at::Tensor values = pickedTensor(output, "model", view_);
    requireSameShape(values, target);
    const at::Tensor exact = atLeastFloat(values);
    return at::mse_loss(exact, target.to(exact.device(), exact.scalar_type()));
  }

  at::Tensor ofSamples(const c10::IValue& output, const at::Tensor& target) const override {
    const at::Tensor values = pickedTensor(output, "model", view_);
    requireSameShape(values, target);
    const at::Tensor exact = atLeastFloat(values);
    const at::Tensor squares = (exact - target.to(exact.device(), exact.scalar_type())).square();
    return squares.reshape({squares.size(0), -1}).mean(1);
  }

 private:
  OutputView view_;
};

}  // namespace

std::shared_ptr<const Loss> Loss::make(LossKind kind, OutputView view) {
  if (kind == LossKind::kCrossEntropy) return std::make_shared<CrossEntropyLoss>(std::move(view));
  return std::make_shared<MeanSquaredErrorLoss>(std::move(view));
}

}  // namespace torchsearch
