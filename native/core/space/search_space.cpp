#include "core/space/search_space.h"

#include <c10/util/ScopeExit.h>

#include <algorithm>
#include <utility>

#include "core/base/failure.h"
#include "core/call/arguments.h"
#include "core/export/subnet_export.h"
#include "core/graph/extra_methods.h"
#include "core/model/output_check.h"
#include "core/space/custom_validation.h"
#include "core/space/export_check.h"
#include "core/space/export_losses.h"
#include "core/space/find_hyperparameters.h"
#include "core/space/narrow_views.h"
#include "core/space/subnet_bindings.h"
#include "core/space/subnet_timing.h"
#include "core/space/subnet_trial.h"

namespace torchsearch {

SearchSpace::SearchSpace(std::shared_ptr<const ConvertedModel> model)
    : model_(std::move(model)), programs_(model_) {}

std::shared_ptr<SearchSpace> SearchSpace::convert(const std::shared_ptr<Module>& module,
                                                  const Inputs& dummyInput, const SpaceOptions& options,
                                                  const CancelToken& cancel, const ProgressFn& progress) {
  const auto lock = module->lock();
  auto model = convertModel(module, dummyInput, options.depth, cancel, progress);
  if (progress) progress({2, 3, "try"});
  const auto blocks = giveUpWhatFails(*model, options.channelDivisor, cancel);
  const Dependencies& dependencies = *model->dependencies;
  std::shared_ptr<SearchSpace> space(new SearchSpace(model));
  space->hyperparameters_ = findHyperparameters(dependencies, model->blocks, options.channelDivisor);
  space->unprunable_ = findUnprunable(dependencies);
  space->unprunable_.insert(space->unprunable_.end(), blocks.begin(), blocks.end());
  space->exportLosses_ = torchsearch::exportLosses(*model);
  std::vector<int64_t> smallest;
  std::vector<int64_t> full;
  for (const auto& hyperparameter : space->hyperparameters_) {
    smallest.push_back(hyperparameter.choices.front());
    full.push_back(hyperparameter.full);
  }
  const auto least = space->subnetOf(smallest).widths;
  space->costs_.emplace(dependencies, model->blocks, least, space->subnetOf(full).widths,
                        findNarrowViews(*model, least, cancel));
  space->select(full);
  if (progress) progress({3, 3, "done"});
  return space;
}

std::vector<std::string> SearchSpace::ownMethods() const {
  std::vector<std::string> names;
  for (const auto& method : extraMethods(module()->jit(), MethodGraphs::kCopied)) {
    if (!method.servesForward) names.push_back(method.name);
  }
  return names;
}

Subnet SearchSpace::subnetOf(const std::vector<int64_t>& values) const {
  return torchsearch::subnetOf(*model_, hyperparameters_, wanted_.customs(), values);
}

std::vector<Subnet> SearchSpace::subnetsOf(const std::vector<std::vector<int64_t>>& values) const {
  std::vector<Subnet> subnets;
  for (const auto& item : values) subnets.push_back(subnetOf(item));
  return subnets;
}

void SearchSpace::select(const std::vector<int64_t>& values) {
  auto subnet = subnetOf(values);
  std::vector<int64_t> active(values.begin(), values.begin() + static_cast<int64_t>(hyperparameters_.size()));
  const auto& custom = subnet.custom.positions();
  active.insert(active.end(), custom.begin(), custom.end());
  wanted_.select(std::move(active), std::move(subnet));
}

void SearchSpace::expect(const std::vector<std::vector<int64_t>>& candidates) {
  wanted_.expect(subnetsOf(candidates));
}

void SearchSpace::adoptSelection() {
  const int64_t statistics = current_.statistics;
  const int64_t weights = current_.weights;
  wanted_.adoptInto(current_);
  if (current_.statistics != statistics) {
    statistics_.clear();
    recalibrationBatches_ = 0;
  }
  if (current_.weights != weights) weights_.clear();
  adoptBudget();
}

SubnetTensors SearchSpace::ownTensors() const {
  SubnetTensors own = statistics_;
  own.insert(weights_.begin(), weights_.end());
  return own;
}

void SearchSpace::adoptBudget() {
  if (reuse_.setBudget(current_.cacheBudget)) reuse_.forget(programs_);
}

void SearchSpace::reuseActivations(int64_t budget) {
  budget = std::max<int64_t>(budget, 0);
  wanted_.setCacheBudget(budget);
  // A forward that is running now adopts it with the next one.
  const std::unique_lock<std::recursive_mutex> lock(mutex_, std::try_to_lock);
  if (!lock.owns_lock()) return;
  current_.cacheBudget = budget;
  adoptBudget();
}

std::shared_ptr<const CustomHyperparameter> SearchSpace::addTensors(const std::string& name,
                                                                    const std::string& tensor,
                                                                    const std::vector<at::Tensor>& values,
                                                                    Channels channels,
                                                                    const CancelToken& cancel) {
  const auto moduleLock = module()->lock();
  const std::lock_guard<std::recursive_mutex> lock(mutex_);
  const at::NoGradGuard noGrad;
  const CustomValidation validation(*model_, hyperparameters_, wanted_.customs());
  const ChannelOrder none;
  return add(
      validation.ofTensors(name, tensor, values, channels == Channels::kOriginal ? order_ : none, cancel));
}

std::shared_ptr<const CustomHyperparameter> SearchSpace::addNumbers(const std::string& name,
                                                                    const std::vector<std::string>& constants,
                                                                    const std::vector<double>& numbers,
                                                                    const CancelToken& cancel) {
  const auto moduleLock = module()->lock();
  const std::lock_guard<std::recursive_mutex> lock(mutex_);
  const at::NoGradGuard noGrad;
  const CustomValidation validation(*model_, hyperparameters_, wanted_.customs());
  return add(validation.ofNumbers(name, constants, numbers, cancel));
}

std::shared_ptr<const CustomHyperparameter> SearchSpace::add(CustomHyperparameter valid) {
  const auto added = std::make_shared<const CustomHyperparameter>(std::move(valid));
  reuse_.forget(programs_);  // activations were not known by what it chooses
  wanted_.add(added);
  return added;
}

double SearchSpace::cost(const std::vector<int64_t>& values, Metric metric) const {
  const Subnet subnet = subnetOf(values);
  return costs_->at(subnet.widths, subnet.kept, metric);
}

LatencyTable SearchSpace::measureLatency(const LatencyTable& known, int32_t points,
                                         const LatencyOptions& options, const CancelToken& cancel,
                                         const ProgressFn& progress) {
  const auto moduleLock = module()->lock();
  const std::lock_guard<std::recursive_mutex> lock(mutex_);
  return measureOperators(*model_, hyperparameters_, costs_->shapes(), known, points, options, cancel,
                          progress);
}

std::vector<double> SearchSpace::timeSubnets(const std::vector<std::vector<int64_t>>& subnets,
                                             const LatencyOptions& options, const CancelToken& cancel,
                                             const ProgressFn& progress) {
  const auto moduleLock = module()->lock();
  const std::lock_guard<std::recursive_mutex> lock(mutex_);
  return timeForwards(*model_, subnetsOf(subnets), options, cancel, progress);
}

void SearchSpace::beginPass() {
  const auto moduleLock = module()->lock();
  const std::lock_guard<std::recursive_mutex> lock(mutex_);
  adoptSelection();
  checkWeights();
  inPass_ = true;
}

void SearchSpace::endPass() {
  const std::lock_guard<std::recursive_mutex> lock(mutex_);
  inPass_ = false;
}

c10::IValue SearchSpace::forward(const Inputs& inputs, const CancelToken& cancel) {
  return forward(inputs, cancel, /*effectsOnly=*/false);
}

void SearchSpace::run(const Inputs& inputs, const CancelToken& cancel) {
  forward(inputs, cancel, /*effectsOnly=*/true);
}

c10::IValue SearchSpace::forward(const Inputs& inputs, const CancelToken& cancel, bool effectsOnly) {
  const auto moduleLock = module()->lock();
  const std::lock_guard<std::recursive_mutex> lock(mutex_);
  adoptSelection();
  if (!inPass_) checkWeights();
  return runSelection(onDevice(inputs, module()->device()), cancel, effectsOnly);
}

void SearchSpace::bind(ShapeProgram& entry) {
  const bool recalibrating = current_.recalibrating;
  entry.run(programs_.keptIn(entry, current_.subnet.kept));
  entry.bindings =
      bindSubnet(*entry.running, *entry.dependencies, module()->jit(), current_.subnet, ownTensors());
  entry.recalibration = {};
  if (recalibrating) entry.recalibration = bindRecalibration(*entry.running, entry.bindings, statistics_);
  // Without a norm to recalibrate nothing runs.
  if (!recalibrating || entry.recalibration.lastNorm >= 0) {
    const ProgramPreparer& preparer = entry.preparing(recalibrating);
    const bool refused = entry.mode(recalibrating).trust == ShapeProgram::Trust::kRefused;
    if (!refused) preparer.prepare(entry.bindings);
    if (recalibrating && entry.bindings.prepared == nullptr) preparer.makeContiguous(entry.bindings);
  }
  entry.selection = current_.version;
  entry.recalibrating = recalibrating;
  if (reusesActivations()) prepareReuse(entry);
}

void SearchSpace::prepareReuse(ShapeProgram& entry) {
  std::vector<ProgramSubnet> future;
  if (current_.expected != nullptr) {
    const auto& expected = *current_.expected;
    for (size_t at = current_.next; at < expected.size() && future.size() < ActivationReuse::kForesight;
         ++at) {
      const Subnet& next = expected[at];
      future.push_back({next.widths, programs_.keptIn(entry, next.kept), next.custom.positions()});
    }
  }
  reuse_.prepare(entry, {current_.subnet.widths, entry.kept, current_.subnet.custom.positions()}, future,
                 wanted_.customs().get(), statistics_);
}

c10::IValue SearchSpace::runSelection(const Inputs& inputs, const CancelToken& cancel, bool effectsOnly) {
  const at::NoGradGuard noGrad;
  const bool recalibrating = current_.recalibrating;
  auto& entry = programs_.at(inputs, cancel);
  const auto& prepared = entry.bindings.prepared;
  if (entry.selection != current_.version || entry.recalibrating != recalibrating ||
      (prepared != nullptr && !prepared->isCurrent())) {
    bind(entry);
  }
  if (prepared != nullptr && entry.mode(recalibrating).trust == ShapeProgram::Trust::kUntried) {
    programs_.tryPrepared(entry, entry.bindings, recalibrating, statistics_, inputs, cancel);
    bind(entry);
  }
  setMomenta(entry.recalibration, recalibrationBatches_, entry.bindings);
  RunOptions options;
  // What comes after the last norm changes nothing.
  if (effectsOnly && recalibrating) {
    options.stopBefore = entry.recalibration.lastNorm + 1;
    if (prepared != nullptr) options.stopBefore = prepared->stopFrom(options.stopBefore);
  }
  const auto tensors = inputTensors(*model_->graph, inputs);
  const bool reuses = entry.reuse != nullptr && reusesActivations();
  const auto output =
      reuses ? reuse_.run(entry, tensors, options.stopBefore, recalibrationBatches_, statistics_, cancel)
             : entry.executor.run(entry.bindings, tensors, cancel, options);
  if (recalibrating) ++recalibrationBatches_;
  return output;
}

c10::IValue SearchSpace::forwardInTraining(const Inputs& inputs, const std::vector<int64_t>& values,
                                           bool leads) {
  const auto moduleLock = module()->lock();
  const std::lock_guard<std::recursive_mutex> lock(mutex_);
  const Subnet subnet = subnetOf(values);
  const Inputs moved = onDevice(inputs, module()->device());
  auto& entry = [&]() -> ShapeProgram& {
    const at::NoGradGuard noGrad;
    return programs_.at(moved, CancelToken());
  }();
  entry.run(programs_.keptIn(entry, subnet.kept));
  entry.unbind();  // what is selected is bound no longer
  const at::AutoGradMode recording(true);
  const Bindings bindings =
      bindForTraining(*entry.running, *entry.dependencies, module()->jit(), subnet, leads);
  return entry.executor.run(bindings, inputTensors(*model_->graph, moved), CancelToken());
}

ChannelScores SearchSpace::scores(const Importance& importance) const {
  const auto moduleLock = module()->lock();
  return importance.scores(*model_->dependencies, bindModule(*model_->program, module()->jit()).values);
}

std::string SearchSpace::reorder(const Importance& importance) {
  const auto moduleLock = module()->lock();
  const std::lock_guard<std::recursive_mutex> lock(mutex_);
  const auto order = descendingOrder(scores(importance));
  permute(order);
  return digestOf(order);
}

void SearchSpace::restoreOrder() {
  const auto moduleLock = module()->lock();
  const std::lock_guard<std::recursive_mutex> lock(mutex_);
  if (order_.empty()) return;
  permute(inverted(order_));
  order_.clear();
}

void SearchSpace::permute(const ChannelOrder& order) {
  const Program& program = *model_->program;
  const Dependencies& dependencies = *model_->dependencies;
  permuteChannels(dependencies, bindModule(program, module()->jit()).values, order);
  if (const auto all = wanted_.customs()) {
    for (size_t i = 0; i < program.slots.size(); ++i) {
      const auto& slot = program.slots[i];
      for (const auto& custom : *all) {
        if (!slot.isStored() || custom->tensor != slot.name) continue;
        for (const auto& tensor : custom->tensors) {
          permuteChannels(dependencies, static_cast<SlotId>(i), tensor, order);
        }
      }
    }
  }
  order_ = composed(order_, order);
  // Weights that a subnet gathers, rather than views, are of the order before.
  wanted_.weightsChanged();
}

std::vector<at::Tensor> SearchSpace::subnetOutputs(const Inputs& inputs) {
  const auto restore = c10::make_scope_exit(
      [this, before = current_.recalibrating]() noexcept { current_.recalibrating = before; });
  current_.recalibrating = false;
  checkWeights();
  return outputsWithoutTrace(module()->jit(), [&] { return runSelection(copied(inputs), CancelToken()); });
}

// A graph may guard against other widths than the full model's, in ways that no rule knows.
void SearchSpace::verify(Module& subnet) {
  requireSameOutputs(
      outputsWithoutTrace(subnet, model_->dummyInput), subnetOutputs(model_->dummyInput),
      "The exported subnet computes something else than the selected one, so it was not given out. "
      "Please report the model; another width for the hyperparameters may work.");
}

std::shared_ptr<Module> SearchSpace::exportSubnet() {
  const auto moduleLock = module()->lock();
  const std::lock_guard<std::recursive_mutex> lock(mutex_);
  adoptSelection();
  return withFailureCode("ERR_EXPORT", [&] {
    const Subnet& selected = current_.subnet;
    const auto bindings =
        bindSubnet(*model_->program, *model_->dependencies, module()->jit(), selected, ownTensors());
    auto subnet = std::make_shared<Module>(
        exportSubnetModule(module()->jit(), *model_->dependencies, bindings.values, bindings.overrides,
                           model_->blocks, selected.kept, model_->dummyInput, CancelToken()));
    verify(*subnet);
    const auto promised = [&](Metric metric) { return costs_->at(selected.widths, selected.kept, metric); };
    PromisedCosts costs;
    costs.params = promised(Metric::kParams);
    costs.size = promised(Metric::kSize);
    if (selected.custom.positions().empty()) {
      costs.macs = promised(Metric::kMacs);
      costs.memory = promised(Metric::kMemory);
    }
    requireKeptPromises(*subnet, *model_, selected.kept, costs);
    inheritExample(*subnet, *module(), model_->dummyInput);
    return subnet;
  });
}

Recipe SearchSpace::recipe() {
  const auto moduleLock = module()->lock();
  const std::lock_guard<std::recursive_mutex> lock(mutex_);
  adoptSelection();
  const Subnet& selected = current_.subnet;
  const auto bindings =
      bindSubnet(*model_->program, *model_->dependencies, module()->jit(), selected, ownTensors());
  Recipe recipe = describeSubnet(*model_, selected, bindings, order_);
  const auto areFinite = [](const at::Tensor& tensor) { return at::isfinite(tensor).all().item<bool>(); };
  for (const bool patterned : {true, false}) {
    recipe.patterned = patterned;
    recipe.inputs = patterned ? patternOf(model_->dummyInput) : model_->dummyInput;
    recipe.outputSizes.clear();
    recipe.outputSamples.clear();
    std::vector<at::Tensor> outputs;
    try {
      outputs = subnetOutputs(recipe.inputs);
    } catch (const std::exception&) {
      if (!patterned) throw;
      continue;  // the model doesn't take just any numbers
    }
    for (const auto& output : outputs) {
      recipe.outputSizes.push_back(output.sizes().vec());
      recipe.outputSamples.push_back(sampleOf(output));
    }
    if (std::all_of(recipe.outputSamples.begin(), recipe.outputSamples.end(), areFinite)) break;
  }
  return recipe;
}

}  // namespace torchsearch
