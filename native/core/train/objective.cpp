#include "core/train/objective.h"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/autograd.h>

#include "core/base/error.h"
#include "core/base/failure.h"

namespace torchsearch {

namespace {

at::Tensor atLeastFloat(const at::Tensor& tensor) {
  return tensor.scalar_type() == at::kDouble ? tensor : tensor.to(at::kFloat);
}

}  // namespace

at::Tensor Objective::hard(const at::Tensor& picked, const at::Tensor& target) const {
  const at::Tensor output = classes_ ? classesSecond(picked, view_) : picked;
  if (classes_) {
    requireClasses(output, target);
    requireClassRange(output, target);
    return at::cross_entropy_loss(atLeastFloat(output), target.to(output.device(), at::kLong), {},
                                  at::Reduction::Mean, kIgnoredClass, settings_.labelSmoothing);
  }
  requireSameShape(output, target);
  const at::Tensor exact = atLeastFloat(output);
  return at::mse_loss(exact, target.to(exact.device(), exact.scalar_type()));
}

at::Tensor Objective::soft(const at::Tensor& picked, const at::Tensor& answer) const {
  const at::Tensor output = classes_ ? classesSecond(picked, view_) : picked;
  const at::Tensor teacher = classes_ ? classesSecond(answer, view_) : answer;
  if (output.sizes() != teacher.sizes() || (classes_ && output.dim() < 2)) {
    misfit(
        "Distillation needs a teacher whose output has the model's shape, and that is [N, C] or [N, C, ...] "
        "where the loss is a cross-entropy; the model gave " +
        shapeOf(output) + ", the teacher " + shapeOf(teacher) + ".");
  }
  const at::Tensor exact = atLeastFloat(output);
  const at::Tensor reference = teacher.detach().to(exact.device(), exact.scalar_type());
  if (!classes_) return at::mse_loss(exact, reference);
  const double temperature = settings_.temperature;
  const at::Tensor sum =
      at::kl_div(at::log_softmax(exact / temperature, 1), at::log_softmax(reference / temperature, 1),
                 at::Reduction::Sum, /*log_target=*/true);
  const double positions = static_cast<double>(exact.numel()) / static_cast<double>(exact.size(1));
  return sum * (temperature * temperature / positions);
}

at::Tensor Objective::of(const c10::IValue& output, const at::Tensor& target, const c10::IValue& teacher,
                         const Inputs& inputs) const {
  if (needsTeacher() && !settings_.teacher.kinds.empty()) {
    const TeacherView& all = settings_.teacher;
    const at::Tensor distance =
        teacherDistance(output, teacher, maskOf(inputs, all), all, settings_.temperature);
    if (!needsTarget()) return distance;
    const at::Tensor picked = pickedTensor(output, "model", view_);
    return hard(picked, target) * (1 - settings_.alpha) + distance * settings_.alpha;
  }
  const at::Tensor values = pickedTensor(output, "model", view_);
  if (!needsTeacher()) return hard(values, target);
  const at::Tensor distance = soft(values, pickedTensor(teacher, "teacher", view_));
  if (!needsTarget()) return distance;
  return hard(values, target) * (1 - settings_.alpha) + distance * settings_.alpha;
}

void backward(const at::Tensor& loss) {
  if (!loss.requires_grad()) {
    throw Error(
        "ERR_GRADIENT",
        "The loss has no gradient: the model's output doesn't depend on the weights that are trained "
        "through operators that can be differentiated. Check `trainable`, and the model for detach().");
  }
  withFailureCode("ERR_GRADIENT", [&] { loss.backward(); });
}

}  // namespace torchsearch
