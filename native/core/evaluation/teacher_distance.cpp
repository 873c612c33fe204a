#include "core/evaluation/teacher_distance.h"

#include <ATen/ATen.h>

#include "core/evaluation/score_input.h"

namespace torchsearch {

namespace {

// So far from 0 and 1 probabilities are held; by a straight line, so that gradients don't vanish beyond it.
constexpr double kMargin = 1e-6;
// Of a number: below that a batch's own divergence is no measure for others.
constexpr double kLeastDivergence = 1e-2;

at::Tensor inside(const at::Tensor& probabilities) {
  return probabilities * (1 - 2 * kMargin) + kMargin;
}

at::Tensor exactly(const at::Tensor& tensor) {
  return tensor.scalar_type() == at::kDouble ? tensor : tensor.to(at::kFloat);
}

void collectFloating(const c10::IValue& value, std::vector<at::Tensor>& found) {
  if (value.isTensor()) {
    if (value.toTensor().defined() && value.toTensor().is_floating_point()) found.push_back(value.toTensor());
  } else if (value.isTuple()) {
    for (const auto& element : value.toTupleRef().elements()) collectFloating(element, found);
  } else if (value.isList()) {
    for (const auto& element : value.toListRef()) collectFloating(element, found);
  } else if (value.isGenericDict()) {
    for (const auto& item : value.toGenericDict()) collectFloating(item.value(), found);
  }
}

// The positions that count, as [M, ...]; the whole where no mask fits.
at::Tensor counted(const at::Tensor& tensor, const at::Tensor& mask) {
  if (!mask.defined() || tensor.dim() < 3 || mask.dim() != 2 || tensor.size(0) != mask.size(0) ||
      tensor.size(1) != mask.size(1)) {
    return tensor;
  }
  const at::Tensor chosen = mask.to(tensor.device()).ne(0).flatten().nonzero().squeeze(1);
  return tensor.flatten(0, 1).index_select(0, chosen);
}

at::Tensor ownDivergence(const at::Tensor& truth, const at::Tensor& guess) {
  return (truth * (truth.log() - guess.log()) + (1 - truth) * ((1 - truth).log() - (1 - guess).log())).sum();
}

at::Tensor distanceOf(DistanceKind kind, const at::Tensor& output, const at::Tensor& teacher, int64_t classes,
                      double temperature) {
  const double positions =
      static_cast<double>(output.numel()) / static_cast<double>(output.dim() > 1 ? output.size(classes) : 1);
  switch (kind) {
    case DistanceKind::kIgnored:
      break;
    case DistanceKind::kLogits:
      return at::kl_div(at::log_softmax(output / temperature, classes),
                        at::log_softmax(teacher / temperature, classes), at::Reduction::Sum,
                        /*log_target=*/true) *
             (temperature * temperature / positions);
    case DistanceKind::kDistribution:
      return at::kl_div(inside(output).log(), inside(teacher).log(), at::Reduction::Sum,
                        /*log_target=*/true) /
             positions;
    case DistanceKind::kProbabilities: {
      const at::Tensor truth = inside(teacher);
      // Columns of one sample, or of equal ones, don't differ from their means.
      const at::Tensor ordinary = ownDivergence(truth, truth.mean(0, /*keepdim=*/true).expand_as(truth));
      const double least = kLeastDivergence * static_cast<double>(truth.numel());
      return ownDivergence(truth, inside(output)) / ordinary.clamp_min(least);
    }
    case DistanceKind::kFeatures: {
      const double spread = (teacher - teacher.mean()).square().mean().item<double>();
      return at::mse_loss(output, teacher) / (spread > 0 ? spread : 1);
    }
  }
  return output.sum() * 0;
}

}  // namespace

std::vector<at::Tensor> floatingTensors(const c10::IValue& value) {
  std::vector<at::Tensor> found;
  collectFloating(value, found);
  return found;
}

at::Tensor maskOf(const Inputs& inputs, const TeacherView& view) {
  if (view.maskArgument >= 0 && view.maskArgument < static_cast<int64_t>(inputs.args.size())) {
    const c10::IValue& given = inputs.args[static_cast<size_t>(view.maskArgument)];
    if (given.isTensor()) return given.toTensor();
  }
  if (!view.maskKeyword.empty()) {
    const auto found = inputs.kwargs.find(view.maskKeyword);
    if (found != inputs.kwargs.end() && found->second.isTensor()) return found->second.toTensor();
  }
  return {};
}

at::Tensor teacherDistance(const c10::IValue& output, const c10::IValue& teacher, const at::Tensor& mask,
                           const TeacherView& view, double temperature) {
  const auto own = floatingTensors(output);
  const auto others = floatingTensors(teacher);
  if (own.size() != view.kinds.size() || others.size() != own.size()) {
    misfit("The model's output has " + std::to_string(own.size()) + " floating tensors and the teacher's " +
           std::to_string(others.size()) + ", but " + std::to_string(view.kinds.size()) +
           " are compared: give models whose outputs have the same form for every batch.");
  }
  at::Tensor sum;
  int64_t count = 0;
  for (size_t i = 0; i < own.size(); ++i) {
    if (view.kinds[i] == DistanceKind::kIgnored) continue;
    if (own[i].sizes() != others[i].sizes()) {
      misfit("Distillation needs a teacher whose outputs have the model's shapes; the model gave " +
             shapeOf(own[i]) + ", the teacher " + shapeOf(others[i]) + ".");
    }
    const at::Tensor exact = counted(exactly(own[i]), mask);
    const at::Tensor reference = counted(others[i].detach().to(exact.device(), exact.scalar_type()), mask);
    if (exact.numel() == 0) continue;
    const int64_t classes = exact.dim() > 1 ? (view.classesLast ? exact.dim() - 1 : 1) : 0;
    const at::Tensor distance = distanceOf(view.kinds[i], exact, reference, classes, temperature);
    sum = sum.defined() ? sum + distance : distance;
    ++count;
  }
  if (count == 0) misfit("Nothing of the outputs is compared: all floating tensors are empty, or masked.");
  return sum / static_cast<double>(count);
}

}  // namespace torchsearch
