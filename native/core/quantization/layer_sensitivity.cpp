#include "core/quantization/layer_sensitivity.h"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/autograd.h>

#include <algorithm>
#include <cmath>
#include <string>

#include "core/base/error.h"
#include "core/base/failure.h"
#include "core/evaluation/score.h"
#include "core/evaluation/score_input.h"

namespace torchsearch {

namespace {

void requireFinite(const std::vector<double>& sums, const char* what) {
  if (std::all_of(sums.begin(), sums.end(), [](double sum) { return std::isfinite(sum); })) return;
  throw Error("ERR_SENSITIVITY_NAN", std::string(what) +
                                         " of a batch are no finite numbers. Check the data and the weights "
                                         "for NaN and infinity, and that the target fits the loss.");
}

// Computes each layer also in every format, and weighs the difference by the gradient that comes back.
class GradientHook : public LayerHook {
 public:
  GradientHook(LayerQuantizers& quantizers, const at::Tensor& probe)
      : quantizers_(quantizers),
        probe_(probe),
        sums_(
            std::make_shared<std::vector<double>>(quantizers.layers().size() * quantizers.formats().size())) {
  }

  void call(size_t layer, torch::jit::Stack& stack, torch::jit::Operation& run) override {
    const torch::jit::Stack arguments = stack;
    run(stack);
    at::Tensor output = stack.back().toTensor();
    auto errors = std::make_shared<std::vector<at::Tensor>>();
    {
      const at::NoGradGuard noGrad;
      for (size_t format = 0; format < quantizers_.formats().size(); ++format) {
        torch::jit::Stack rounded = arguments;
        quantizers_.quantize(layer, static_cast<int64_t>(format), rounded);
        run(rounded);
        errors->push_back((rounded.back().toTensor() - output).square());
      }
    }
    // Weights and inputs have no gradients of their own: the first layers' outputs begin the way back.
    if (!output.requires_grad()) output = output + probe_.to(output.scalar_type());
    const size_t first = layer * errors->size();
    output.register_hook([sums = sums_, errors, first](const at::Tensor& gradient) {
      const at::NoGradGuard noGrad;
      const at::Tensor weight = gradient.square();
      for (size_t format = 0; format < errors->size(); ++format) {
        (*sums)[first + format] += (weight * errors->at(format)).sum(at::kDouble).item<double>();
      }
      errors->clear();
    });
    stack.back() = output;
  }

  const std::vector<double>& sums() const { return *sums_; }

 private:
  LayerQuantizers& quantizers_;
  at::Tensor probe_;
  std::shared_ptr<std::vector<double>> sums_;
};

Bindings detached(const Bindings& bindings) {
  Bindings result = bindings;
  for (auto& value : result.values) {
    if (value.defined()) value = value.detach();
  }
  return result;
}

}  // namespace

SensitivityPart gradientSensitivity(LayerQuantizers& quantizers, const HookSlot& slot,
                                    const QuantBatch& batch, const at::Tensor& target, const Loss& loss,
                                    const CancelToken& cancel) {
  if (!target.defined() || target.dim() == 0)
    misfit("The target of a batch must have a first dimension, of samples.");
  const at::AutoGradMode recording(true);
  const at::Tensor probe =
      at::zeros({}, at::TensorOptions().dtype(at::kFloat).device(target.device())).requires_grad_(true);
  GradientHook hook(quantizers, probe);
  at::Tensor value;
  {
    const HookScope scope(slot, &hook);
    value = loss.of(batch.executor.run(detached(batch.bindings), batch.inputs, cancel), target);
  }
  if (!value.requires_grad()) {
    throw Error("ERR_GRADIENT",
                "The loss has no gradient: the model's output doesn't depend on its layers through operators "
                "that can be differentiated. Use sensitivity \"klDivergence\" or \"meanSquaredError\".");
  }
  requireFinite({value.item<double>()}, "The losses");
  cancel.throwIfCancelled();
  withFailureCode("ERR_GRADIENT", [&] {
    return torch::autograd::grad({value}, {probe}, {}, /*retain_graph=*/false, /*create_graph=*/false,
                                 /*allow_unused=*/true);
  });
  SensitivityPart part;
  part.count = target.size(0);
  // Gradients are of the mean loss: a sample's own is larger by the number of samples.
  const double scale = 0.5 * static_cast<double>(part.count) * static_cast<double>(part.count);
  for (const double sum : hook.sums()) part.sums.push_back(scale * sum);
  requireFinite(part.sums, "The gradients");
  return part;
}

SensitivityPart outputSensitivity(LayerQuantizers& quantizers, const HookSlot& slot, const QuantBatch& batch,
                                  int32_t group, ScoreKind measure, const OutputView& view,
                                  const CancelToken& cancel) {
  const at::NoGradGuard noGrad;
  const auto& layers = quantizers.layers();
  int32_t first = -1;
  // At another shape of inputs the first instruction of a node is another one.
  const auto& program = batch.executor.plan().program();
  for (int32_t i = 0; first < 0 && i < batch.executor.plan().instructionCount(); ++i) {
    const auto& instruction = program.instructions[i];
    if (!instruction.runs()) continue;
    const int32_t node = program.graph->indexOf(instruction.node);
    const bool own = std::any_of(layers.begin(), layers.end(), [&](const QuantLayer& layer) {
      return layer.group == group && layer.node == node;
    });
    if (own) first = i;
  }
  std::vector<Activations> before(1);
  before[0].instruction = first;
  RunOptions options;
  options.captures = &before;
  const c10::IValue full = batch.executor.run(batch.bindings, batch.inputs, cancel, options);
  const at::Tensor expected = scoredTensor(full, "model", view);
  SensitivityPart part;
  for (size_t format = 0; format < quantizers.formats().size(); ++format) {
    std::vector<int64_t> chosen(layers.size(), kUnquantized);
    for (size_t i = 0; i < layers.size(); ++i) {
      if (layers[i].group == group) chosen[i] = static_cast<int64_t>(format);
    }
    QuantizeHook hook(quantizers, std::move(chosen));
    const HookScope scope(slot, &hook);
    RunOptions rest;
    if (first >= 0) rest.resumeFrom = &before[0];
    const c10::IValue output = batch.executor.run(batch.bindings, batch.inputs, cancel, rest);
    const auto score = Score::make(measure, {.view = view, .teacher = {}});
    try {
      score->add(output, expected, full);
      part.sums.push_back(score->value() * static_cast<double>(score->count()));
    } catch (const Error& error) {
      if (error.code() != "ERR_SCORE_NAN") throw;
      requireFinite({std::nan("")}, "The outputs");
    }
    part.count = score->count();
  }
  return part;
}

}  // namespace torchsearch
