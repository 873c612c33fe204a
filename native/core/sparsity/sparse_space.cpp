#include "core/sparsity/sparse_space.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <functional>
#include <utility>

#include "core/base/error.h"
#include "core/base/failure.h"
#include "core/call/arguments.h"
#include "core/graph/generator_guard.h"
#include "core/graph/interpreter.h"
#include "core/graph/module_state.h"
#include "core/graph/recorder.h"
#include "core/layers/weight_uses.h"
#include "core/model/output_check.h"
#include "core/sparsity/mask_export.h"

namespace torchsearch {

// Calls back with each use of a parameter.
class WeightUseObserver : public InterpreterObserver {
 public:
  using Seen = std::function<void(const WeightUse&, const c10::FunctionSchema&,
                                  const std::vector<c10::IValue>&, const std::vector<c10::IValue>&)>;

  WeightUseObserver(const torch::jit::Module& module, Seen seen) : tracker_(module), seen_(std::move(seen)) {}

  const WeightTracker& tracker() const { return tracker_; }

  void onOperator(torch::jit::Node* node, const torch::jit::Operation&,
                  const std::vector<c10::IValue>& arguments, const std::vector<c10::IValue>& results,
                  bool) override {
    const auto* schema = node->maybeSchema();
    if (schema == nullptr) return;
    for (const auto& use : tracker_.see(*schema, arguments, results)) seen_(use, *schema, arguments, results);
  }
  void onAttributeSet(torch::jit::Node*, const c10::IValue&, bool) override {}
  void onDecision(torch::jit::Node*, int64_t, bool) override {}
  void onSpeculationBegin() override {}
  void onSpeculationEnd(bool, const std::vector<c10::IValue>&) override {}
  void onJoin(const std::vector<c10::IValue>&) override {}

 private:
  WeightTracker tracker_;
  Seen seen_;
};

namespace {

// Ends a forward from within, once it has shown what is wanted.
struct SeenAll {};

c10::IValue interpret(const InlinedGraph& graph, const torch::jit::Module& module, const Inputs& inputs,
                      InterpreterObserver& observer, const CancelToken& cancel) {
  const at::NoGradGuard noGrad;
  const ModuleState state(module);
  auto arguments = arrangeInputs(graph, inputs);
  arguments.at(0) = module._ivalue();
  return withFailureCode("ERR_FORWARD", [&]() -> c10::IValue {
    try {
      return Interpreter(graph, {}, &observer, cancel).run(std::move(arguments));
    } catch (const SeenAll&) {
      return {};
    }
  });
}

bool alike(const WeightMatrix& a, const WeightMatrix& b) {
  return a.kind == b.kind && a.groups == b.groups;
}

}  // namespace

std::shared_ptr<SparseSpace> SparseSpace::convert(const std::shared_ptr<Module>& module,
                                                  const Inputs& dummyInput, const CancelToken& cancel) {
  const auto lock = module->lock();
  std::shared_ptr<SparseSpace> space(new SparseSpace());
  space->training_ = module->training();
  const torch::jit::Module jit = module->jit();
  space->dense_ = std::make_shared<Module>(deepCopyOf(jit));
  space->sparse_ = std::make_shared<Module>(deepCopyOf(jit));
  space->dense_->setExample(module->example());
  for (const auto& copy : {space->dense_, space->sparse_}) {
    if (copy->training()) copy->train(false);
  }
  space->graph_ = InlinedGraph::copyOf(space->dense_->jit(), InlinedGraph::FusedAttention::kAvoid);
  space->dummyInput_ = onDevice(dummyInput, module->device());
  space->findLayers(cancel);
  return space;
}

// What a forward on the dummy input shows of the parameters, by their places in a WeightTracker.
struct SparseSpace::Seen {
  std::map<int32_t, SparseLayer> layers;
  std::vector<int32_t> order;              // in which layers ran first
  std::map<int32_t, std::string> reasons;  // why a parameter stays dense

  void add(const WeightUse& use, const at::Tensor& weight, const at::Tensor& result) {
    if (!use.matrix) {
      reasons.emplace(use.parameter, use.reason);
      return;
    }
    auto& layer = layers[use.parameter];
    if (layer.uses++ == 0) {
      layer.matrix = *use.matrix;
      order.push_back(use.parameter);
      if (!weight.is_floating_point()) reasons.emplace(use.parameter, "it isn't of floating point");
    } else if (!alike(layer.matrix, *use.matrix)) {
      reasons.emplace(use.parameter, "layers use it in different ways");
    }
    const int64_t outputs =
        use.matrix->kind == WeightMatrix::Kind::kProduct ? weight.size(1) : weight.size(0);
    layer.macs += result.numel() / std::max<int64_t>(1, outputs) * weight.numel();
  }
};

void SparseSpace::findLayers(const CancelToken& cancel) {
  const torch::jit::Module dense = dense_->jit();
  Seen seen;
  WeightUseObserver observer(
      dense, [&](const WeightUse& use, const c10::FunctionSchema&, const auto&, const auto& results) {
        const at::Tensor result = use.matrix ? results.at(0).toTensor() : at::Tensor();
        seen.add(use, observer.tracker().tensors()[use.parameter], result);
      });
  if (observer.tracker().names().empty()) {
    throw Error(
        "ERR_NO_PARAMETERS",
        "The model has no parameters that could be made sparse: its weights are quantized, or were made "
        "constants by freezing. Convert the model as it was before that.");
  }
  {
    const GeneratorGuard generator;
    interpret(*graph_, dense, copied(dummyInput_), observer, cancel);
  }
  adoptLayers(seen, observer.tracker());
}

void SparseSpace::adoptLayers(Seen& seen, const WeightTracker& tracker) {
  const auto& names = tracker.names();
  std::map<std::string, at::Tensor> own;
  for (const auto& parameter : sparse_->namedParameters()) own.emplace(parameter.name, parameter.tensor);
  for (const int32_t index : seen.order) {
    if (seen.reasons.count(index) > 0) continue;
    const at::Tensor& weight = tracker.tensors()[index];
    SparseLayer layer = seen.layers[index];
    layer.parameter = names[index];
    layer.shape = weight.sizes().vec();
    layer.elements = weight.numel();
    layer.runLength = layer.matrix.runLength(weight);
    layer.productBytes = InputProducts::bytesOf(layer.matrix, weight);
    layers_.push_back(std::move(layer));
    denseWeights_.push_back(weight);
    weights_.push_back(own.at(names[index]));
  }
  masks_.resize(layers_.size());
  for (size_t i = 0; i < names.size(); ++i) {
    const auto index = static_cast<int32_t>(i);
    if (tracker.tensors()[i].dim() < 2) continue;
    if (seen.reasons.count(index) > 0) {
      denseParameters_.push_back({names[i], seen.reasons[index]});
    } else if (seen.layers.count(index) == 0) {
      denseParameters_.push_back({names[i], "nothing reads it on the dummy input"});
    }
  }
}

// Adds what the layers of a collection read.
class SparseSpace::Collector {
 public:
  Collector(SparseSpace& space, const torch::jit::Module& module)
      : space_(space),
        observer_(module, [this](const auto& use, const auto& schema, const auto& arguments, const auto&) {
          add(use, schema, arguments);
        }) {
    std::map<std::string, int32_t> byName;
    for (const int32_t layer : space.collection_->layers)
      byName.emplace(space.layers_[layer].parameter, layer);
    for (const auto& name : observer_.tracker().names()) {
      const auto found = byName.find(name);
      wanted_.push_back(found == byName.end() ? -1 : found->second);
    }
    for (const auto& [name, layer] : byName) missing_ += space.layers_[layer].uses;
  }

  WeightUseObserver& observer() { return observer_; }

 private:
  void add(const WeightUse& use, const c10::FunctionSchema& schema,
           const std::vector<c10::IValue>& arguments) {
    const int32_t layer = wanted_[use.parameter];
    if (layer < 0 || !use.matrix) return;
    space_.products_[layer].add(*use.matrix, space_.denseWeights_[layer], schema, arguments,
                                space_.layers_[layer].parameter);
    if (--missing_ == 0 && space_.collection_->stopEarly) throw SeenAll();
  }

  SparseSpace& space_;
  WeightUseObserver observer_;
  std::vector<int32_t> wanted_;  // layer by parameter, or -1
  int64_t missing_ = 0;
};

c10::IValue SparseSpace::forward(const Inputs& inputs, const CancelToken& cancel) {
  const std::lock_guard<std::recursive_mutex> lock(mutex_);
  if (!collection_) return sparse_->forward(inputs, cancel);
  const auto& model = collection_->sequential ? sparse_ : dense_;
  Collector collector(*this, model->jit());
  const Inputs moved = onDevice(inputs, device());
  return interpret(*graph_, model->jit(), moved, collector.observer(), cancel);
}

void SparseSpace::collect(Collection collection) {
  const std::lock_guard<std::recursive_mutex> lock(mutex_);
  for (const int32_t layer : collection.layers) products_[layer] = InputProducts();
  collection_ = std::move(collection);
}

void SparseSpace::stopCollecting() {
  const std::lock_guard<std::recursive_mutex> lock(mutex_);
  collection_.reset();
}

at::Tensor SparseSpace::matrix(int32_t layer) const {
  const auto& description = layers_.at(layer);
  at::Tensor matrix = description.matrix.matrixOf(denseWeights_[layer]);
  if (!matrix.isfinite().all().item<bool>()) {
    throw Error("ERR_WEIGHT_NAN",
                "The weight '" + description.parameter +
                    "' holds NaN or an infinite number. Train the model anew, or leave the layer "
                    "out (exclude).");
  }
  return matrix;
}

void SparseSpace::checkPlan(int32_t layer, const SparsityPlan& plan) const {
  const auto& description = layers_.at(layer);
  const bool fits = plan.structured() ? plan.n >= 0 && plan.n <= plan.m && description.runLength % plan.m == 0
                                      : plan.keep >= 0 && plan.keep <= description.elements;
  if (!fits) {
    throw Error("ERR_CONFIG_VALUE", "The pattern does not fit the layer '" + description.parameter +
                                        "', which has " + std::to_string(description.runLength) +
                                        " inputs a position and " + std::to_string(description.elements) +
                                        " weights.");
  }
}

std::vector<int64_t> SparseSpace::globalCounts(const std::vector<int32_t>& layers, int64_t keep) const {
  const std::lock_guard<std::recursive_mutex> lock(mutex_);
  const at::NoGradGuard noGrad;
  std::vector<at::Tensor> magnitudes;
  for (const int32_t layer : layers) magnitudes.push_back(matrix(layer).abs().flatten().to(at::kFloat));
  const at::Tensor all = at::cat(magnitudes);
  const at::Tensor gone = lowest(all, all.numel() - keep);
  std::vector<int64_t> counts;
  int64_t from = 0;
  for (const int32_t layer : layers) {
    const int64_t elements = layers_[layer].elements;
    counts.push_back(elements - gone.narrow(0, from, elements).sum().item<int64_t>());
    from += elements;
  }
  return counts;
}

SparseOutcome SparseSpace::magnitude(int32_t layer, const SparsityPlan& plan, bool forget) {
  const std::lock_guard<std::recursive_mutex> lock(mutex_);
  const at::NoGradGuard noGrad;
  checkPlan(layer, plan);
  const at::Tensor dense = matrix(layer);
  const at::Tensor mask = magnitudeMask(dense, plan);
  return adopt(layer, {dense.masked_fill(mask.logical_not(), 0), mask}, dense, forget);
}

SparseOutcome SparseSpace::sparseGpt(int32_t layer, const SparsityPlan& plan, const SparseGptOptions& options,
                                     bool forget, const CancelToken& cancel) {
  const std::lock_guard<std::recursive_mutex> lock(mutex_);
  checkPlan(layer, plan);
  const at::Tensor dense = matrix(layer);
  const at::Tensor products = products_[layer].mean(layers_[layer].matrix, denseWeights_[layer]);
  const auto& name = layers_[layer].parameter;
  return adopt(layer, torchsearch::sparseGpt(dense, products, plan, options, name, cancel), dense, forget);
}

SparseOutcome SparseSpace::adopt(int32_t layer, const SparseWeights& weights, const at::Tensor& dense,
                                 bool forget) {
  const at::NoGradGuard noGrad;
  const auto& layout = layers_[layer].matrix;
  const at::Tensor& like = denseWeights_[layer];
  const at::Tensor mask = layout.tensorOf(weights.mask, like);
  restore(layer, layout.tensorOf(weights.weights, like).to(like.scalar_type()), mask);
  SparseOutcome outcome;
  outcome.kept = mask.sum().item<int64_t>();
  const auto seen = products_.find(layer);
  if (seen != products_.end() && seen->second.inputs() > 0) {
    const at::Tensor products = seen->second.mean(layout, like);
    outcome.error = outputError(dense, layout.matrixOf(weights_[layer]), products);
    outcome.dead = products.diagonal(0, 1, 2).eq(0).sum().item<int64_t>();
  }
  if (forget) products_.erase(layer);
  return outcome;
}

void SparseSpace::makeDense(int32_t layer) {
  const std::lock_guard<std::recursive_mutex> lock(mutex_);
  const at::NoGradGuard noGrad;
  weights_.at(layer).copy_(denseWeights_[layer]);
  masks_[layer] = at::Tensor();
}

void SparseSpace::reset() {
  const std::lock_guard<std::recursive_mutex> lock(mutex_);
  for (size_t i = 0; i < layers_.size(); ++i) makeDense(static_cast<int32_t>(i));
  products_.clear();
  collection_.reset();
}

at::Tensor SparseSpace::weight(int32_t layer) const {
  const std::lock_guard<std::recursive_mutex> lock(mutex_);
  return weights_.at(layer).detach().clone();
}

at::Tensor SparseSpace::mask(int32_t layer) const {
  const std::lock_guard<std::recursive_mutex> lock(mutex_);
  const at::Tensor& mask = masks_.at(layer);
  return mask.defined() ? mask.clone() : at::Tensor();
}

void SparseSpace::restore(int32_t layer, const at::Tensor& weight, const at::Tensor& mask) {
  const std::lock_guard<std::recursive_mutex> lock(mutex_);
  const at::NoGradGuard noGrad;
  if (weight.sizes() != weights_.at(layer).sizes() || mask.sizes() != weight.sizes()) {
    throw Error("ERR_INPUT",
                "The weight and mask do not have the shape of '" + layers_[layer].parameter + "'.");
  }
  weights_[layer].copy_(weight);
  masks_[layer] = mask.to(weights_[layer].device(), at::kBool, /*non_blocking=*/false, /*copy=*/true);
}

std::shared_ptr<Module> SparseSpace::exportModule(bool masks) const {
  const std::lock_guard<std::recursive_mutex> lock(mutex_);
  std::map<std::string, at::Tensor> byName;
  for (size_t i = 0; i < layers_.size(); ++i) {
    if (masks_[i].defined()) byName.emplace(layers_[i].parameter, masks_[i]);
  }
  return withFailureCode("ERR_EXPORT", [&] {
    const at::NoGradGuard noGrad;
    const torch::jit::Module jit = sparse_->jit();
    auto exported =
        std::make_shared<Module>(masks && !byName.empty() ? withMasks(jit, byName) : deepCopyOf(jit));
    verify(*exported);
    inheritExample(*exported, *dense_, dummyInput_);
    if (training_) exported->train(true);
    return exported;
  });
}

void SparseSpace::verify(Module& exported) const {
  std::map<std::string, at::Tensor> tensors;
  for (const auto& parameter : exported.namedParameters()) tensors.emplace(parameter.name, parameter.tensor);
  for (size_t i = 0; i < layers_.size(); ++i) {
    if (!masks_[i].defined()) continue;
    const auto found = tensors.find(layers_[i].parameter);
    const bool dropped =
        found != tensors.end() && !found->second.masked_select(~masks_[i]).any().item<bool>();
    if (!dropped) {
      throw Error("ERR_SPARSITY_MISMATCH",
                  "The exported weight '" + layers_[i].parameter +
                      "' is not zero where it should be, so the model was not given out. "
                      "Please report the model.");
    }
  }
  requireSameOutputs(
      outputsWithoutTrace(exported, dummyInput_), outputsWithoutTrace(*sparse_, dummyInput_),
      "The exported model computes something else than the sparse one, so it was not given out. Please "
      "report the model; exporting plain weights (masks: false) may work.");
}

}  // namespace torchsearch
