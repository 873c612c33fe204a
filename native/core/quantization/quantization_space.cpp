#include "core/quantization/quantization_space.h"

#include <algorithm>

#include "core/base/error.h"
#include "core/base/failure.h"
#include "core/call/arguments.h"
#include "core/graph/call_shape.h"
#include "core/graph/data_dependence.h"
#include "core/graph/generator_guard.h"
#include "core/graph/module_state.h"
#include "core/graph/recorder.h"
#include "core/model/mode_guard.h"
#include "core/model/output_check.h"
#include "core/quantization/quantized_export.h"

namespace torchsearch {

struct QuantizationSpace::ShapeProgram {
  explicit ShapeProgram(std::shared_ptr<const Program> hooked)
      : program(std::move(hooked)), executor(std::make_shared<const ExecutionPlan>(program)) {}

  std::shared_ptr<const Program> program;  // its layers go through the space's hook
  Executor executor;
  Bindings bindings;
};

std::shared_ptr<QuantizationSpace> QuantizationSpace::convert(const std::shared_ptr<Module>& module,
                                                              const Inputs& dummyInput,
                                                              const QuantizationOptions& options,
                                                              const CancelToken& cancel) {
  const auto lock = module->lock();
  const ModeGuard evaluation(*module, /*training=*/false);
  std::shared_ptr<QuantizationSpace> space(new QuantizationSpace());
  space->module_ = module;
  space->graph_ = InlinedGraph::copyOf(module->jit(), InlinedGraph::FusedAttention::kAvoid);
  space->dummyInput_ = onDevice(dummyInput, module->device());
  const auto recording = record(space->graph_, space->dummyInput_, {}, cancel);
  space->program_ = recording.program;
  const Program& program = *recording.program;
  if (program.dataDependent) refuseDataDependence(program, "what runs can't be told beforehand");
  if (!program.carriedState.empty()) {
    throw Error("ERR_UNSUPPORTED_GRAPH",
                "The model's forward keeps results in its attribute '" + program.carriedState +
                    "' for the next call. Pass that state in and out of forward instead.");
  }
  auto layers = findQuantizableLayers(program, options.groupSharedInputs);
  if (layers.empty()) {
    throw Error("ERR_NO_PARAMETERS",
                "The model has no convolution or matrix product with a weight that could be quantized: its "
                "weights are quantized already, or were made constants by freezing. Convert the model as it "
                "was before that.");
  }
  for (const auto& layer : layers) space->groupCount_ = std::max(space->groupCount_, layer.group + 1);
  space->quantizers_ = std::make_unique<LayerQuantizers>(std::move(layers), options.formats);
  space->active_.assign(space->groupCount_, kUnquantized);
  return space;
}

std::vector<int64_t> QuantizationSpace::active() const {
  const std::lock_guard<std::mutex> lock(activeMutex_);
  return active_;
}

void QuantizationSpace::select(const std::vector<int64_t>& formats) {
  if (static_cast<int32_t>(formats.size()) != groupCount_) {
    throw Error("ERR_CHOICE", "Expected " + std::to_string(groupCount_) + " formats but received " +
                                  std::to_string(formats.size()) + ".");
  }
  const auto count = static_cast<int64_t>(quantizers_->formats().size());
  for (const int64_t format : formats) {
    if (format < kUnquantized || format >= count) {
      throw Error("ERR_CHOICE", "There is no format " + std::to_string(format) + ".");
    }
  }
  const std::lock_guard<std::mutex> lock(activeMutex_);
  active_ = formats;
}

std::vector<int64_t> QuantizationSpace::layerFormats() const {
  const auto byGroup = active();
  std::vector<int64_t> byLayer;
  for (const auto& layer : layers()) byLayer.push_back(byGroup[layer.group]);
  return byLayer;
}

QuantizationSpace::ShapeProgram& QuantizationSpace::programFor(const Inputs& inputs,
                                                               const CancelToken& cancel) {
  const std::string key = shapeKey(*graph_, inputs);
  const auto found = programs_.find(key);
  if (found != programs_.end()) return *found->second;
  const ModeGuard evaluation(*module_, /*training=*/false);
  const auto recording = record(graph_, inputs, {}, cancel);
  auto hooked = std::make_shared<const Program>(withHooks(*recording.program, layers(), hook_));
  return *programs_.emplace(key, std::make_shared<ShapeProgram>(std::move(hooked))).first->second;
}

// What is known of weights holds as long as no parameter or buffer is written or replaced.
void QuantizationSpace::refreshWeights() {
  decltype(weightState_) now;
  for (const auto& tensor : bindModule(*program_, module_->jit()).values) {
    if (!tensor.defined() || !tensor.has_storage()) continue;
    const auto version =
        tensor.is_inference() ? 0 : tensor.unsafeGetTensorImpl()->version_counter().current_version();
    now.emplace_back(tensor.storage().data(), version);
  }
  if (now == weightState_) return;
  weightState_ = std::move(now);
  quantizers_->forgetWeights();
}

QuantizationSpace::ShapeProgram& QuantizationSpace::bound(const Inputs& inputs, const CancelToken& cancel) {
  auto& entry = programFor(inputs, cancel);
  refreshWeights();
  entry.bindings = bindModule(*entry.program, module_->jit());
  return entry;
}

c10::IValue QuantizationSpace::runSelection(const Inputs& inputs, const CancelToken& cancel) {
  const at::NoGradGuard noGrad;
  auto& entry = bound(inputs, cancel);
  QuantizeHook hook(*quantizers_, layerFormats());
  const HookScope scope(hook_, &hook);
  return entry.executor.run(entry.bindings, inputTensors(*graph_, inputs), cancel);
}

c10::IValue QuantizationSpace::forward(const Inputs& inputs, const CancelToken& cancel) {
  const auto moduleLock = module_->lock();
  const std::lock_guard<std::recursive_mutex> lock(mutex_);
  return runSelection(onDevice(inputs, module_->device()), cancel);
}

void QuantizationSpace::observe(const Inputs& inputs, const CancelToken& cancel) {
  const auto moduleLock = module_->lock();
  const std::lock_guard<std::recursive_mutex> lock(mutex_);
  const at::NoGradGuard noGrad;
  const Inputs moved = onDevice(inputs, module_->device());
  auto& entry = bound(moved, cancel);
  ObserveHook hook(*quantizers_);
  const HookScope scope(hook_, &hook);
  entry.executor.run(entry.bindings, inputTensors(*graph_, moved), cancel);
}

void QuantizationSpace::forgetActivations() {
  const std::lock_guard<std::recursive_mutex> lock(mutex_);
  quantizers_->forgetActivations();
}

std::vector<double> QuantizationSpace::activationEnds() {
  const std::lock_guard<std::recursive_mutex> lock(mutex_);
  return quantizers_->activationEnds();
}

void QuantizationSpace::setActivationEnds(const std::vector<double>& ends) {
  const std::lock_guard<std::recursive_mutex> lock(mutex_);
  quantizers_->setActivationEnds(ends);
}

SensitivityPart QuantizationSpace::gradients(const Inputs& inputs, const at::Tensor& target, const Loss& loss,
                                             const CancelToken& cancel) {
  const auto moduleLock = module_->lock();
  const std::lock_guard<std::recursive_mutex> lock(mutex_);
  const Inputs moved = onDevice(inputs, module_->device());
  auto& entry = bound(moved, cancel);
  const at::Tensor there = target.defined() ? target.to(module_->device()) : target;
  return gradientSensitivity(*quantizers_, hook_,
                             {entry.executor, entry.bindings, inputTensors(*graph_, moved)}, there, loss,
                             cancel);
}

SensitivityPart QuantizationSpace::outputs(const Inputs& inputs, int32_t group, ScoreKind measure,
                                           const OutputView& view, const CancelToken& cancel) {
  if (group < 0 || group >= groupCount_) {
    throw Error("ERR_CHOICE", "There is no group " + std::to_string(group) + " of layers.");
  }
  const auto moduleLock = module_->lock();
  const std::lock_guard<std::recursive_mutex> lock(mutex_);
  const Inputs moved = onDevice(inputs, module_->device());
  auto& entry = bound(moved, cancel);
  return outputSensitivity(*quantizers_, hook_,
                           {entry.executor, entry.bindings, inputTensors(*graph_, moved)}, group, measure,
                           view, cancel);
}

// The weights as the layers' operators read them, in a run on the dummy input.
std::vector<at::Tensor> QuantizationSpace::layerWeights() {
  class Look : public LayerHook {
   public:
    explicit Look(const std::vector<QuantLayer>& layers) : layers_(layers), weights(layers.size()) {}
    void call(size_t layer, torch::jit::Stack& stack, torch::jit::Operation& run) override {
      weights[layer] = stack[layers_[layer].weightArgument].toTensor();
      run(stack);
    }
    const std::vector<QuantLayer>& layers_;
    std::vector<at::Tensor> weights;
  };
  const at::NoGradGuard noGrad;
  const Inputs inputs = copied(dummyInput_);
  auto& entry = bound(inputs, CancelToken());
  Look hook(layers());
  const HookScope scope(hook_, &hook);
  entry.executor.run(entry.bindings, inputTensors(*graph_, inputs), CancelToken());
  return hook.weights;
}

void QuantizationSpace::verify(Module& exported) {
  const auto expected =
      outputsWithoutTrace(module_->jit(), [&] { return runSelection(copied(dummyInput_), CancelToken()); });
  requireSameOutputs(
      outputsWithoutTrace(exported, dummyInput_), expected,
      "The exported module computes something else than the quantized one, so it was not given out. "
      "Please report the model; other formats for its layers may work.");
}

std::shared_ptr<Module> QuantizationSpace::exportModule() {
  const auto moduleLock = module_->lock();
  const std::lock_guard<std::recursive_mutex> lock(mutex_);
  return withFailureCode("ERR_EXPORT", [&] {
    std::vector<at::Tensor> weights;
    {
      const GeneratorGuard generator;
      const ModuleState state(module_->jit());
      weights = layerWeights();
    }
    auto exported = std::make_shared<Module>(
        exportQuantizedModule(module_->jit(), *program_, *quantizers_, layerFormats(), weights));
    verify(*exported);
    inheritExample(*exported, *module_, dummyInput_);
    return exported;
  });
}

}  // namespace torchsearch
