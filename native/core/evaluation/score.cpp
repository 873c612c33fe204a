#include "core/evaluation/score.h"

#include <ATen/ATen.h>

#include <cmath>
#include <utility>

#include "core/base/error.h"
#include "core/evaluation/score_input.h"

namespace torchsearch {
namespace {

class TopK : public Score {
 public:
  explicit TopK(int64_t k) : k_(k) {
    if (k_ < 1) misfit("Top-k accuracy needs k of at least 1.");
  }

  double best() const override { return 1; }
  std::optional<double> worst() const override { return 0; }
  bool isLoss() const override { return false; }

 protected:
  Part measure(const at::Tensor& output, const at::Tensor& target, const at::Tensor&) const override {
    requireClasses(output, target);
    if (k_ > output.size(1)) {
      misfit("Top-" + std::to_string(k_) +
             " accuracy needs at least that many classes, but the model gives " +
             std::to_string(output.size(1)) + ".");
    }
    if (output.isnan().any().item<bool>())
      throw Error("ERR_SCORE_NAN", "The model's output holds NaN; check its input and weights.");
    const at::Tensor best = k_ == 1 ? output.argmax(1, true) : std::get<1>(output.topk(k_, 1));
    const int64_t right = best.eq(target.to(output.device(), at::kLong).unsqueeze(1)).sum().item<int64_t>();
    return {static_cast<double>(right), target.numel()};
  }

 private:
  int64_t k_;
};

// Mean over targets of -log softmax(logits)[target]; targets of -100 are ignored, as in
// torch.nn.functional.cross_entropy.
class CrossEntropy : public Score {
 public:
  double best() const override { return -1e-12; }

 protected:
  Part measure(const at::Tensor& output, const at::Tensor& target, const at::Tensor&) const override {
    requireClasses(output, target);
    requireClassRange(output, target);
    const at::Tensor classes = target.to(output.device(), at::kLong);
    const at::Tensor counted = classes.ne(kIgnoredClass);
    const at::Tensor index = classes.clamp_min(0).unsqueeze(1);
    const at::Tensor losses = output.to(at::kDouble).log_softmax(1).gather(1, index).squeeze(1).neg();
    const double sum = losses.masked_select(counted).sum().item<double>();
    const int64_t count = counted.sum().item<int64_t>();
    return {sum, count, classes.numel() - count};
  }
};

// Mean over elements of (output - target)^2.
class MeanSquaredError : public Score {
 protected:
  Part measure(const at::Tensor& output, const at::Tensor& target, const at::Tensor&) const override {
    requireSameShape(output, target);
    const at::Tensor difference = output.to(at::kDouble) - target.to(output.device(), at::kDouble);
    return {difference.square().sum().item<double>(), output.numel()};
  }
};

// KL(teacher || model) of the softmax over dimension 1, summed over classes (and positions), mean over
// samples; as torch.nn.functional.kl_div(log_softmax(model), log_softmax(teacher), "batchmean",
// log_target=True).
class KlDivergence : public Score {
 public:
  bool needsTarget() const override { return false; }
  bool needsTeacher() const override { return true; }
  // Sums of terms of both signs: as far below 0 as logits up to a million round.
  double best() const override { return -1e-8; }

 protected:
  Part measure(const at::Tensor& output, const at::Tensor&, const at::Tensor& teacher) const override {
    if (!output.is_floating_point() || output.dim() < 2 || !teacher.defined() ||
        output.sizes() != teacher.sizes()) {
      misfit(
          "KL divergence needs float outputs [N, C] or [N, C, ...] of equal shape from model and teacher, "
          "but they are " +
          shapeOf(output) + " and " + (teacher.defined() ? shapeOf(teacher) : "missing") + ".");
    }
    const at::Tensor model = output.to(at::kDouble).log_softmax(1);
    const at::Tensor truth = teacher.to(output.device(), at::kDouble).log_softmax(1);
    return {at::kl_div(model, truth, at::Reduction::Sum, /*log_target=*/true).item<double>(), output.size(0)};
  }
};

// The mean over batches, by samples, of `teacherDistance`.
class TeacherDistance : public Score {
 public:
  explicit TeacherDistance(TeacherView view) : compared_(std::move(view)) {}

  bool needsTarget() const override { return false; }
  bool needsTeacher() const override { return true; }
  double best() const override { return -1e-6; }

 protected:
  Part measureWhole(const c10::IValue& output, const at::Tensor&, const c10::IValue& teacher,
                    const Inputs& inputs) const override {
    const double mean =
        teacherDistance(output, teacher, maskOf(inputs, compared_), compared_, 1).item<double>();
    const auto tensors = floatingTensors(output);
    const int64_t samples = tensors.front().dim() > 0 ? tensors.front().size(0) : 1;
    return {mean * static_cast<double>(samples), samples};
  }
  Part measure(const at::Tensor&, const at::Tensor&, const at::Tensor&) const override { return {0, 0}; }

 private:
  TeacherView compared_;
};

}  // namespace

std::shared_ptr<Score> Score::make(ScoreKind kind, const ScoreOptions& options) {
  std::shared_ptr<Score> score;
  switch (kind) {
    case ScoreKind::kTopKAccuracy:
      score = std::make_shared<TopK>(options.k);
      break;
    case ScoreKind::kCrossEntropy:
      score = std::make_shared<CrossEntropy>();
      break;
    case ScoreKind::kMeanSquaredError:
      score = std::make_shared<MeanSquaredError>();
      break;
    case ScoreKind::kKlDivergence:
      score = std::make_shared<KlDivergence>();
      break;
    case ScoreKind::kTeacherDistance:
      score = std::make_shared<TeacherDistance>(options.teacher);
      break;
  }
  if (score != nullptr) score->view_ = options.view;
  return score;
}

void Score::reset() {
  const std::lock_guard guard(mutex_);
  tally_ = {};
}

Score::Part Score::measureWhole(const c10::IValue& output, const at::Tensor& target,
                                const c10::IValue& teacher, const Inputs&) const {
  const at::Tensor reference = needsTeacher() ? scoredTensor(teacher, "teacher", view_) : at::Tensor();
  return measure(scoredTensor(output, "model", view_), target, reference);
}

void Score::add(const c10::IValue& output, const at::Tensor& target, const c10::IValue& teacher,
                const Inputs& inputs) {
  if (needsTarget() && !target.defined())
    misfit("This score needs a target; say which tensor of a batch it is.");
  if (needsTeacher() && teacher.isNone()) misfit("This score needs a teacher model to compare with.");
  const at::NoGradGuard noGrad;
  const Part part = measureWhole(output, target, teacher, inputs);
  if (!std::isfinite(part.sum)) {
    throw Error("ERR_SCORE_NAN", "The score is not a finite number (" + std::to_string(part.sum) +
                                     "); check the model's output, its input and the target.");
  }
  const std::lock_guard guard(mutex_);
  tally_.sum += part.sum;
  tally_.count += part.count;
  tally_.targets += part.count + part.ignored;
}

double Score::value() const {
  const std::lock_guard guard(mutex_);
  if (tally_.count == 0)
    throw Error("ERR_EMPTY_LOADER", "Nothing was scored: the loader gave no batch; check the data.");
  return tally_.sum / static_cast<double>(tally_.count);
}

int64_t Score::count() const {
  const std::lock_guard guard(mutex_);
  return tally_.count;
}

Score::Tally Score::tally() const {
  const std::lock_guard guard(mutex_);
  return tally_;
}

}  // namespace torchsearch
