// The part of the search space that learns from batches which the whole model runs on.
#include <algorithm>
#include <cmath>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "core/base/error.h"
#include "core/call/arguments.h"
#include "core/space/search_space.h"
#include "core/space/structures.h"
#include "core/space/subnet_bindings.h"

namespace torchsearch {

namespace {

bool areFinite(const std::vector<at::Tensor>& tensors) {
  return std::all_of(tensors.begin(), tensors.end(), [](const at::Tensor& tensor) {
    return !tensor.is_floating_point() || std::isfinite(tensor.sum().item<double>());
  });
}

}  // namespace

void SearchSpace::measure(Measure& measure, const Inputs& inputs, const at::Tensor& target,
                          const CancelToken& cancel) {
  const auto moduleLock = module()->lock();
  const std::lock_guard<std::recursive_mutex> lock(mutex_);
  const Inputs moved = onDevice(inputs, module()->device());
  auto& entry = programs_.at(moved, cancel);
  Bindings whole = bindWhole(entry);
  const auto tensors = inputTensors(*model_->graph, moved);
  using Trust = ShapeProgram::Trust;
  auto& trust = entry.mode(/*recalibrates=*/false).trust;
  const bool asWritten = measure.needsTarget() || measure.needsOperators();
  // What is prepared has no gradients, and may lose a NaN of the data, which would ruin the measure unseen.
  if (!asWritten && trust != Trust::kRefused && areFinite(tensors)) {
    entry.preparing(/*recalibrates=*/false).prepare(whole);
    if (whole.prepared != nullptr && trust == Trust::kUntried) {
      programs_.tryPrepared(entry, whole, /*recalibrates=*/false, statistics_, moved, cancel);
    }
    if (trust == Trust::kRefused) whole.prepared = nullptr;
  }
  measure.add({*entry.dependencies, entry.executor, whole.values, tensors, target, whole.prepared}, cancel);
}

Bindings SearchSpace::bindWhole(ShapeProgram& entry) {
  entry.run(std::vector<bool>(entry.blocks.blocks.size(), true));
  entry.unbind();  // whatever was bound has its blocks back
  return bindModule(*entry.program, module()->jit());
}

std::vector<std::string> SearchSpace::structures() const {
  const auto byGroup = structuresOf(*model_->dependencies);
  std::vector<std::string> found;
  for (const auto& hyperparameter : hyperparameters_) {
    found.push_back(hyperparameter.group == kNoGroup ? "" : byGroup.at(hyperparameter.group));
  }
  return found;
}

void SearchSpace::findNarrowedLayers(Reconstruction& reconstruction, const CancelToken& cancel) {
  const auto moduleLock = module()->lock();
  const std::lock_guard<std::recursive_mutex> lock(mutex_);
  const at::NoGradGuard noGrad;
  adoptSelection();
  const Subnet& subnet = current_.subnet;
  const auto inputs = onDevice(copied(model_->dummyInput), module()->device());
  auto& entry = programs_.at(inputs, cancel);
  const Bindings whole = bindWhole(entry);
  std::set<std::string> excluded;
  const auto& slots = model_->program->slots;
  const auto stored = bindModule(*model_->program, module()->jit()).values;
  for (size_t i = 0; i < slots.size(); ++i) {
    const Slot& slot = slots[i];
    if (!slot.isStored()) continue;
    const bool isChosen = !subnet.custom.tensorFor(slot, stored[i]).is_same(stored[i]);
    const auto& blocks = model_->blocks;
    const bool isGone = !blocks.blocks.empty() && !blocks.liveness.stored[i].holds(subnet.kept);
    if (isChosen || isGone) excluded.insert(slot.name);
  }
  const auto tensors = inputTensors(*model_->graph, inputs);
  reconstruction.find(module()->jit(),
                      {*entry.dependencies, entry.executor, whole.values, tensors, {}, nullptr},
                      subnet.widths, excluded, cancel);
}

std::vector<ReconstructedLayer> SearchSpace::reconstruct(Reconstruction& reconstruction, double damping,
                                                         const CancelToken& cancel) {
  const auto moduleLock = module()->lock();
  const std::lock_guard<std::recursive_mutex> lock(mutex_);
  adoptSelection();
  if (reconstruction.widths() != current_.subnet.widths) {
    throw Error(
        "ERR_BUSY",
        "Another subnet was selected while this one was reconstructed; await the reconstruction first.");
  }
  auto outcome = reconstruction.solve(damping, cancel);
  wanted_.dropStatistics();
  adoptSelection();
  for (auto& [name, tensor] : outcome.tensors) weights_[name] = std::move(tensor);
  return outcome.layers;
}

}  // namespace torchsearch
