#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/core/ivalue.h>

#include "core/evaluation/loss.h"
#include "core/evaluation/score_input.h"
#include "core/evaluation/teacher_distance.h"

namespace torchsearch {

struct ObjectiveSettings {
  LossKind loss = LossKind::kCrossEntropy;
  double labelSmoothing = 0;  // kCrossEntropy: Szegedy et al., CVPR 2016
  // The share of the teacher's answers in the loss; 0 without a teacher.
  double alpha = 0;
  double temperature = 1;
  // Where it has kinds, all tensors of the outputs are compared with the teacher's.
  TeacherView teacher;
};

// What training minimizes, over one batch: (1 - alpha) * loss(output, target) + alpha * distillation(output,
// teacher). For a cross-entropy the distillation is T^2 KL(softmax(teacher / T) || softmax(output / T)), the
// mean over the samples (Hinton et al., "Distilling the Knowledge in a Neural Network", 2015); for a squared
// error, the mean squared difference from the teacher's output.
class Objective {
 public:
  explicit Objective(const ObjectiveSettings& settings)
      : settings_(settings), classes_(settings.loss == LossKind::kCrossEntropy) {}

  bool needsTarget() const { return settings_.alpha < 1; }
  bool needsTeacher() const { return settings_.alpha > 0; }
  double alpha() const { return settings_.alpha; }
  const OutputView& view() const { return view_; }
  // The teacher's part takes the classes where the labels' part does.
  void readOutputs(const OutputView& view) {
    view_ = view;
    settings_.teacher.classesLast = view.classesLast;
  }

  // A scalar in at least float32. Outputs are whatever the models returned; the view tells their tensors.
  // `inputs` are those of the batch, for a mask among them. ERR_SCORE_INPUT where shapes or dtypes do not
  // fit.
  at::Tensor of(const c10::IValue& output, const at::Tensor& target, const c10::IValue& teacher,
                const Inputs& inputs = {}) const;

  // The two parts alone, of tensors as `pickedTensor` gives them.
  at::Tensor hard(const at::Tensor& picked, const at::Tensor& target) const;
  at::Tensor soft(const at::Tensor& picked, const at::Tensor& answer) const;

 private:
  ObjectiveSettings settings_;
  OutputView view_;
  bool classes_;
};

// Adds the gradients of a loss to those of the weights. ERR_GRADIENT where it has none.
void backward(const at::Tensor& loss);

}  // namespace torchsearch
