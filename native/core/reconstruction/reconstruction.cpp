#include "core/reconstruction/reconstruction.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <optional>
#include <unordered_map>
#include <utility>

#include "core/base/error.h"
#include "core/layers/layer_uses.h"
#include "core/reconstruction/least_squares.h"

namespace torchsearch {

// What a run does with one parameter.
struct ParameterUses {
  std::set<int32_t> instructions;
  std::optional<WeightMatrix> matrix;  // nothing where an operator takes it for something else
  std::set<int32_t> biases;            // parameters that its operators add; -1 for anything else
  bool isOther = false;
};

using UsesByParameter = std::map<int32_t, ParameterUses>;

struct ModuleUses {
  std::vector<int32_t> order;
  std::vector<std::string> names;
  std::vector<at::Tensor> tensors;
  UsesByParameter uses;
};

namespace {

int64_t rowDimension(const WeightMatrix& matrix) {
  return matrix.kind == WeightMatrix::Kind::kProduct ? 1 : 0;
}

int64_t inputDimension(const WeightMatrix& matrix) {
  return 1 - rowDimension(matrix);
}

bool isOne(const c10::IValue& value) {
  return value.isScalar() && value.toScalar().equal(1);
}

// The tensor that an operator adds to its products, if it adds any.
at::Tensor biasOf(const c10::FunctionSchema& schema, const std::vector<c10::IValue>& arguments) {
  if (schema.name() == "aten::addmm") {
    const bool plain = isOne(arguments.at(3)) && isOne(arguments.at(4));
    const auto added = arguments.at(0).toTensor();
    return plain && added.dim() == 1 ? added : at::Tensor();
  }
  const auto at = schema.argumentIndexWithName("bias");
  return at && arguments.at(*at).isTensor() ? arguments.at(*at).toTensor() : at::Tensor();
}

// Runs the whole model as it is written.
void runObserved(const MeasuredBatch& batch, ExecutionObserver& observer, const CancelToken& cancel) {
  RunOptions options;
  options.observer = &observer;
  Bindings bindings;
  bindings.values = batch.values;
  batch.executor.run(bindings, batch.inputs, cancel, options);
}

bool isSame(const WeightMatrix& one, const WeightMatrix& other) {
  return one.kind == other.kind && one.groups == other.groups;
}

UsesByParameter findUses(const torch::jit::Module& module, const MeasuredBatch& batch,
                         std::vector<int32_t>& order, std::vector<std::string>& names,
                         std::vector<at::Tensor>& tensors, const CancelToken& cancel) {
  UsesByParameter uses;
  const Program& program = batch.dependencies.program();
  std::unordered_map<const c10::TensorImpl*, int32_t> numbers;
  LayerUses observer(
      program, WeightTracker(module),
      [&](int32_t instruction, const WeightUse& use, const std::vector<c10::IValue>& arguments) {
        auto& seen = uses[use.parameter];
        if (seen.instructions.empty()) order.push_back(use.parameter);
        seen.instructions.insert(instruction);
        if (!use.matrix || (seen.matrix && !isSame(*seen.matrix, *use.matrix))) {
          seen.isOther = true;
          return;
        }
        seen.matrix = use.matrix;
        const auto bias = biasOf(*program.instructions[instruction].schema, arguments);
        const auto found = numbers.find(bias.unsafeGetTensorImpl());
        seen.biases.insert(bias.defined() && found != numbers.end() ? found->second : -1);
      });
  names = observer.tracker().names();
  tensors = observer.tracker().tensors();
  for (size_t i = 0; i < tensors.size(); ++i) {
    numbers.emplace(tensors[i].unsafeGetTensorImpl(), static_cast<int32_t>(i));
  }
  runObserved(batch, observer, cancel);
  return uses;
}

// The bias that a weight's operators add, where nothing else reads it; -1 for none.
int32_t ownBias(const UsesByParameter& uses, const ParameterUses& weight) {
  if (weight.biases.size() != 1 || *weight.biases.begin() < 0) return -1;
  const int32_t bias = *weight.biases.begin();
  const auto found = uses.find(bias);
  return found != uses.end() && found->second.instructions == weight.instructions ? bias : -1;
}

// The columns of a layer's matrix that belong to the channels which stay.
at::Tensor keptColumns(const NarrowedLayer& layer, const at::Tensor& weight) {
  const int64_t channels = weight.size(inputDimension(layer.matrix));
  const int64_t positions = weight.numel() / (channels * weight.size(rowDimension(layer.matrix)));
  std::vector<int64_t> columns;
  for (int64_t position = 0; position < positions; ++position) {
    for (const int64_t channel : layer.inputs) columns.push_back(position * channels + channel);
  }
  return at::tensor(columns, at::kLong).to(weight.device());
}

}  // namespace

void Reconstruction::find(const torch::jit::Module& module, const MeasuredBatch& batch,
                          const std::vector<int64_t>& widths, const std::set<std::string>& excluded,
                          const CancelToken& cancel) {
  const std::lock_guard<std::mutex> lock(mutex_);
  const at::NoGradGuard noGrad;
  if (analysis_ == nullptr || !keeps_) {
    auto found = std::make_shared<ModuleUses>();
    found->uses = findUses(module, batch, found->order, found->names, found->tensors, cancel);
    analysis_ = std::move(found);
  }
  const auto& [order, names, tensors, uses] = *analysis_;
  std::unordered_map<std::string, SlotId> slots;
  const auto& all = batch.dependencies.program().slots;
  for (size_t i = 0; i < all.size(); ++i) {
    if (all[i].kind == Slot::Kind::kParameter) slots.emplace(all[i].name, static_cast<SlotId>(i));
  }
  module_ = module;
  widths_ = widths;
  layers_.clear();
  if (!keeps_) products_.clear();
  for (const int32_t parameter : order) {
    const ParameterUses& seen = uses.at(parameter);
    const auto slot = slots.find(names[parameter]);
    const at::Tensor& weight = tensors[parameter];
    if (seen.isOther || !seen.matrix || seen.matrix->groups != 1 || slot == slots.end() ||
        excluded.count(names[parameter]) > 0 || !weight.is_floating_point()) {
      continue;
    }
    NarrowedLayer layer;
    layer.weight = names[parameter];
    layer.matrix = *seen.matrix;
    layer.rows = batch.dependencies.kept(slot->second, rowDimension(layer.matrix), widths);
    layer.inputs = batch.dependencies.kept(slot->second, inputDimension(layer.matrix), widths);
    if (static_cast<int64_t>(layer.inputs.size()) == weight.size(inputDimension(layer.matrix))) continue;
    if (layer.inputs.empty() || layer.rows.empty()) continue;
    const int32_t bias = ownBias(uses, seen);
    if (bias >= 0 && excluded.count(names[bias]) == 0) layer.bias = names[bias];
    layer.productBytes = InputProducts::bytesOf(layer.matrix, weight);
    layers_.push_back(std::move(layer));
  }
}

std::vector<NarrowedLayer> Reconstruction::layers() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return layers_;
}

std::vector<int64_t> Reconstruction::widths() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return widths_;
}

void Reconstruction::collect(const std::vector<int64_t>& layers) {
  const std::lock_guard<std::mutex> lock(mutex_);
  std::map<std::string, InputProducts> wanted;
  for (const int64_t layer : layers) {
    if (layer < 0 || layer >= static_cast<int64_t>(layers_.size())) {
      throw Error("ERR_ARGUMENT", "There is no narrowed layer " + std::to_string(layer) + ".");
    }
    wanted[layers_[static_cast<size_t>(layer)].weight];
  }
  products_ = std::move(wanted);
}

void Reconstruction::add(const MeasuredBatch& batch, const CancelToken& cancel) {
  const std::lock_guard<std::mutex> lock(mutex_);
  const at::NoGradGuard noGrad;
  const Program& program = batch.dependencies.program();
  std::vector<InputProducts*> wanted;  // by parameter
  std::vector<at::Tensor> weights;
  std::vector<std::string> names;
  LayerUses observer(
      program, WeightTracker(module_),
      [&](int32_t instruction, const WeightUse& use, const std::vector<c10::IValue>& arguments) {
        InputProducts* const products = wanted[use.parameter];
        if (products == nullptr || !use.matrix) return;
        products->add(*use.matrix, weights[use.parameter], *program.instructions[instruction].schema,
                      arguments, names[use.parameter]);
      });
  weights = observer.tracker().tensors();
  names = observer.tracker().names();
  for (const auto& name : names) {
    const auto found = products_.find(name);
    wanted.push_back(found == products_.end() ? nullptr : &found->second);
  }
  runObserved(batch, observer, cancel);
}

Reconstruction::Outcome Reconstruction::solve(double damping, const CancelToken& cancel) {
  const std::lock_guard<std::mutex> lock(mutex_);
  const at::NoGradGuard noGrad;
  std::map<std::string, at::Tensor> tensors;
  for (const auto& parameter : module_.named_parameters()) tensors.emplace(parameter.name, parameter.value);
  Outcome outcome;
  const bool anySeen = std::any_of(products_.begin(), products_.end(),
                                   [](const auto& item) { return item.second.inputs() > 0; });
  if (!anySeen && !products_.empty()) {
    throw Error("ERR_EMPTY_LOADER",
                "The loader gave no batch to reconstruct layers on; give it at least one.");
  }
  for (const NarrowedLayer& layer : layers_) {
    cancel.throwIfCancelled();
    const auto gathered = products_.find(layer.weight);
    if (gathered == products_.end() || gathered->second.inputs() == 0) continue;
    const InputProducts& products = gathered->second;
    const at::Tensor weight = tensors.at(layer.weight).detach();
    const at::Tensor rows = at::tensor(layer.rows, at::kLong).to(weight.device());
    const at::Tensor inputs = at::tensor(layer.inputs, at::kLong).to(weight.device());
    const at::Tensor matrix = layer.matrix.matrixOf(weight)[0].index_select(0, rows);
    const at::Tensor means = layer.bias.empty() ? at::Tensor() : products.meanInput()[0];
    const auto found = leastSquares(matrix, products.mean(layer.matrix, weight)[0], means,
                                    keptColumns(layer, weight), damping);
    outcome.layers.push_back({layer.weight, found.before, found.after});
    const at::Tensor like = weight.index_select(rowDimension(layer.matrix), rows)
                                .index_select(inputDimension(layer.matrix), inputs);
    outcome.tensors[layer.weight] =
        layer.matrix.tensorOf(found.weights.unsqueeze(0), like).to(weight.scalar_type());
    if (!layer.bias.empty()) {
      const at::Tensor bias = tensors.at(layer.bias).detach();
      const at::Tensor kept = bias.index_select(0, rows);
      outcome.tensors[layer.bias] = (kept.to(at::kDouble) + found.shift).to(bias.scalar_type());
    }
  }
  if (!keeps_) products_.clear();
  return outcome;
}

}  // namespace torchsearch
