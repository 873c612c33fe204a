#include "core/train/module_learner.h"

#include <cmath>
#include <mutex>
#include <utility>

#include "core/base/error.h"
#include "core/base/failure.h"
#include "core/evaluation/score_input.h"
#include "core/graph/module_state.h"
#include "core/model/mode_guard.h"

namespace torchsearch {

namespace {

std::shared_ptr<Module> trainable(std::shared_ptr<Module> module) {
  if (!module->jit().hasattr("training")) {
    throw Error(
        "ERR_FROZEN",
        "This module was frozen (torch.jit.freeze), which makes constants of its weights and removes its "
        "training mode. Train the module that it was made from, and freeze that afterwards.");
  }
  return module;
}

}  // namespace

Teacher::Teacher(std::shared_ptr<Forwardable> model)
    : model_(std::move(model)), module_(std::dynamic_pointer_cast<Module>(model_)) {
  if (module_ == nullptr) return;
  const auto lock = module_->lock();
  forward_ = std::make_unique<GraphForward>(module_);
}

c10::IValue Teacher::answer(const Inputs& inputs) {
  if (model_ == nullptr) return {};
  const at::NoGradGuard noGrad;
  if (module_ == nullptr) return model_->forward(inputs, CancelToken());
  const auto lock = module_->lock();
  const ModeGuard evaluation(*module_, /*training=*/false);
  return forward_->run(inputs, GraphForward::Mode::kEvaluate);
}

ModuleLearner::ModuleLearner(std::shared_ptr<Module> module, const ObjectiveSettings& objective,
                             std::shared_ptr<Forwardable> teacher)
    : module_(trainable(std::move(module))),
      objective_(objective),
      teacher_(std::move(teacher)),
      forward_(module_) {
  if (objective_.needsTeacher() && !teacher_.exists()) {
    throw Error("ERR_CONFIG_VALUE", "Distillation needs a teacher; give one, or set alpha to 0.");
  }
}

std::shared_ptr<void> ModuleLearner::hold() {
  struct Held {
    explicit Held(Module& module) : lock(module.lock()), mode(module, /*training=*/true) {}
    std::unique_lock<std::recursive_mutex> lock;
    ModeGuard mode;
  };
  return std::make_shared<Held>(*module_);
}

double ModuleLearner::learn(const TrainBatch& batch, uint64_t) {
  module_->jit();  // ERR_CLOSED
  const c10::IValue answer = objective_.needsTeacher() ? teacher_.answer(batch.inputs) : c10::IValue();
  const at::AutoGradMode recording(true);
  const c10::IValue output = forward_.run(batch.inputs, GraphForward::Mode::kTrain);
  const at::Tensor loss = withFailureCode(
      "ERR_SCORE_INPUT", [&] { return objective_.of(output, batch.target, answer, batch.inputs); });
  const double value = loss.item<double>();
  if (std::isfinite(value)) backward(loss);
  return value;
}

bool ModuleLearner::recalibrate(const Inputs& inputs, int64_t batch) {
  const auto lock = module_->lock();
  module_->jit();  // ERR_CLOSED
  if (!forward_.hasBatchNorm()) return false;
  const ModeGuard evaluation(*module_, /*training=*/false);
  const at::NoGradGuard noGrad;
  forward_.run(inputs, GraphForward::Mode::kRecalibrate, batch);
  return true;
}

c10::IValue ModuleLearner::begin(const TrainBatch& batch) {
  module_->jit();  // ERR_CLOSED
  auto pending = std::make_unique<Pending>();
  for (const auto& buffer : module_->namedBuffers()) {
    pending->buffers.emplace_back(buffer.tensor, buffer.tensor.detach().clone());
  }
  if (objective_.needsTeacher()) pending->answer = teacher_.answer(batch.inputs);
  pending_ = std::move(pending);
  const at::AutoGradMode recording(true);
  const c10::IValue output = forward_.run(batch.inputs, GraphForward::Mode::kTrain);
  pending_->output = pickedTensor(output, "model", objective_.view());
  return pending_->output.detach();
}

double ModuleLearner::finish(double loss, const at::Tensor& gradient) {
  module_->jit();  // ERR_CLOSED
  if (pending_ == nullptr) throw Error("ERR_ARGUMENT", "There is no forward pass to go back through.");
  const at::AutoGradMode recording(true);
  const at::Tensor output = pending_->output;
  if (gradient.sizes() != output.sizes() || !gradient.is_floating_point()) {
    misfit("The gradient of a loss must be floats of the output's shape " + shapeOf(output) + ", not " +
           shapeOf(gradient) + " " + c10::toString(gradient.scalar_type()) + ".");
  }
  // Its derivative is the gradient itself, and it can be added to the teacher's part.
  at::Tensor total = (output * gradient.to(output.device(), output.scalar_type())).sum();
  double value = loss;
  if (objective_.needsTeacher()) {
    const at::Tensor soft = withFailureCode("ERR_SCORE_INPUT", [&] {
      return objective_.soft(output, pickedTensor(pending_->answer, "teacher", objective_.view()));
    });
    value = (1 - objective_.alpha()) * loss + objective_.alpha() * soft.item<double>();
    total = total * (1 - objective_.alpha()) + soft * objective_.alpha();
  }
  if (!std::isfinite(value)) {
    abandon();
    return value;
  }
  backward(total);
  pending_.reset();
  return value;
}

void ModuleLearner::abandon() {
  if (pending_ == nullptr) return;
  for (auto& [buffer, before] : pending_->buffers) restoreContents(buffer, before);
  pending_.reset();
}

}  // namespace torchsearch
