#include "core/space/search_space.h"

#include <torch/csrc/jit/runtime/graph_executor.h>

#include <algorithm>
#include <cmath>
#include <unordered_map>
#include <utility>

#include "core/base/error.h"
#include "core/base/failure.h"
#include "core/call/arguments.h"
#include "core/export/subnet_export.h"
#include "core/forward/agreement.h"
#include "core/forward/prepared_program.h"
#include "core/graph/call_shape.h"
#include "core/graph/generator_guard.h"
#include "core/graph/module_state.h"
#include "core/graph/operator_kind.h"
#include "core/graph/recorder.h"
#include "core/graph/size_arguments.h"
#include "core/model/mode_guard.h"
#include "core/space/channel_order.h"
#include "core/space/search_space_program.h"

namespace torchsearch {

namespace {

// Bytes of prepared weights that are always kept, however small the model is.
constexpr int64_t kSmallestCache = 64 << 20;

std::string withoutLeaf(const std::string& name) {
  const auto dot = name.rfind('.');
  return dot == std::string::npos ? name : name.substr(0, dot);
}

bool areFinite(const std::vector<at::Tensor>& tensors) {
  return std::all_of(tensors.begin(), tensors.end(), [](const at::Tensor& tensor) {
    return !tensor.is_floating_point() || std::isfinite(tensor.sum().item<double>());
  });
}

bool isContiguousRange(const std::vector<int64_t>& indices) {
  for (size_t i = 1; i < indices.size(); ++i) {
    if (indices[i] != indices[i - 1] + 1) return false;
  }
  return true;
}

}  // namespace

std::shared_ptr<SearchSpace> SearchSpace::convert(const std::shared_ptr<Module>& module,
                                                  const Inputs& dummyInput, const SpaceOptions& options,
                                                  const CancelToken& cancel, const ProgressFn& progress) {
  const auto report = [&](int64_t done, const char* message) {
    if (progress) progress({done, 2, message});
  };
  const auto lock = module->lock();
  const ModeGuard evaluation(*module, /*training=*/false);
  std::shared_ptr<SearchSpace> space(new SearchSpace());
  space->module_ = module;
  const torch::jit::Module jit = module->jit();
  space->weights_ = std::make_shared<WeightCache>(std::max(kSmallestCache, 5 * module->bytes()));
  space->graph_ = InlinedGraph::copyOf(jit, InlinedGraph::FusedAttention::kAvoid);
  space->dummyInput_ = onDevice(dummyInput, module->device());
  report(0, "record");
  RecordOptions recordOptions;
  recordOptions.speculate = true;
  recordOptions.splitBySizes = true;
  const auto recording = record(space->graph_, space->dummyInput_, recordOptions, cancel);
  if (recording.program->dataDependent) {
    throw Error("ERR_DATA_DEPENDENT",
                "The model's control flow or sizes depend on tensor values ('" +
                    recording.program->dataDependence +
                    "'), so its subnets can't be analysed. Replace that part of the model.");
  }
  const auto& slots = recording.program->slots;
  if (std::none_of(slots.begin(), slots.end(),
                   [](const Slot& slot) { return slot.kind == Slot::Kind::kParameter; })) {
    throw Error("ERR_NO_PARAMETERS",
                "The model has no parameters that could be narrowed: its weights are quantized, or were made "
                "constants by freezing. Convert the model as it was before that.");
  }
  if (!recording.program->carriedState.empty()) {
    throw Error(
        "ERR_UNSUPPORTED_GRAPH",
        "The model's forward keeps results in its attribute '" + recording.program->carriedState +
            "' for the next call, so what a subnet computes would depend on the calls before it. Pass "
            "that state in and out of forward instead.");
  }
  report(1, "analyse");
  space->program_ = recording.program;
  space->dependencies_ = std::make_shared<const Dependencies>(recording.program);
  cancel.throwIfCancelled();
  if (options.depth) space->blocks_ = findResidualBlocks(*recording.program);
  space->costs_ = CostModel(*space->dependencies_, space->blocks_);
  space->memory_.emplace(*space->dependencies_, space->blocks_);
  space->findHyperparameters(options.channelDivisor);
  space->findBlocks();
  space->orderHyperparameters();
  space->findUnprunable();
  space->shapes_ = operatorShapes(*space->dependencies_, space->smallestWidths());
  std::vector<int64_t> full;
  for (const auto& hyperparameter : space->hyperparameters_) full.push_back(hyperparameter.full);
  space->select(full);
  report(2, "done");
  return space;
}

void SearchSpace::findHyperparameters(int64_t divisor) {
  if (divisor < 1) throw Error("ERR_CONFIG_VALUE", "channelDivisor must be a whole number of at least 1.");
  const Program& program = dependencies_->program();
  std::vector<std::string> names(dependencies_->groupCount());
  std::map<std::string, int> taken;
  const auto nameAlong = [&](SlotId slot, int64_t dimension) {
    for (const Atom atom : dependencies_->labels(slot, dimension)) {
      const int32_t group = dependencies_->placeOf(atom).group;
      if (group == kNoGroup || !names[group].empty()) continue;
      const std::string base = withoutLeaf(program.slots[slot].name);
      const int count = taken[base]++;
      names[group] = count == 0 ? base : base + "#" + std::to_string(count + 1);
    }
  };
  // Named after the first parameter, in the order of execution, whose output the channels are: most weights
  // have it in front. Otherwise (transposed convolutions, tables) after the first that they run along at all.
  for (const bool inFront : {true, false}) {
    for (const auto& instruction : program.instructions) {
      for (const auto& argument : instruction.arguments) {
        if (!argument.isSlot() || program.slots[argument.slot].kind != Slot::Kind::kParameter) continue;
        const auto rank = static_cast<int64_t>(program.slots[argument.slot].sizes.size());
        for (int64_t d = inFront ? 0 : 1; d < (inFront ? std::min<int64_t>(rank, 1) : rank); ++d) {
          nameAlong(argument.slot, d);
        }
      }
    }
  }
  const auto kinds = groupKinds();
  for (size_t g = 0; g < names.size(); ++g) {
    const auto group = static_cast<int32_t>(g);
    if (dependencies_->groupSize(group) < 2) continue;
    Hyperparameter hyperparameter;
    hyperparameter.name = names[g].empty() ? "group" + std::to_string(g) : names[g];
    hyperparameter.kind = kinds[g];
    hyperparameter.group = group;
    hyperparameter.full = dependencies_->groupSize(group);
    const int64_t step = hyperparameter.kind == "num_heads" ? 1 : divisor;
    for (int64_t width = step; width < hyperparameter.full; width += step) {
      hyperparameter.choices.push_back(width);
    }
    hyperparameter.choices.push_back(hyperparameter.full);
    hyperparameters_.push_back(std::move(hyperparameter));
  }
}

// By what makes a group's channels first: a convolution, or a matrix product (or no operator: an embedding).
std::vector<std::string> SearchSpace::groupKinds() const {
  std::vector<std::string> kinds(dependencies_->groupCount());
  for (const auto& instruction : dependencies_->program().instructions) {
    const bool convolution = isConvolution(instruction.schema->name());
    const bool product = isMatrixProduct(instruction.schema->name());
    if (!convolution && !product) continue;
    for (const auto& result : instruction.results) {
      if (!result.isSlot()) continue;
      const size_t rank = dependencies_->program().slots[result.slot].sizes.size();
      for (size_t d = 0; d < rank; ++d) {
        for (const Atom atom : dependencies_->labels(result.slot, static_cast<int64_t>(d))) {
          const int32_t group = dependencies_->placeOf(atom).group;
          if (group != kNoGroup && kinds[group].empty()) {
            kinds[group] = convolution ? "out_channels" : "hidden_width";
          }
        }
      }
    }
  }
  for (size_t g = 0; g < kinds.size(); ++g) {
    if (dependencies_->isHeads(static_cast<int32_t>(g))) kinds[g] = "num_heads";
    if (kinds[g].empty()) kinds[g] = "hidden_width";
  }
  return kinds;
}

void SearchSpace::findBlocks() {
  for (size_t b = 0; b < blocks_.blocks.size(); ++b) {
    Hyperparameter hyperparameter;
    hyperparameter.name = blocks_.blocks[b].name + ".depth";
    const auto taken = [&](const Hyperparameter& other) { return other.name == hyperparameter.name; };
    while (std::any_of(hyperparameters_.begin(), hyperparameters_.end(), taken)) hyperparameter.name += "#2";
    hyperparameter.kind = "depth";
    hyperparameter.choices = {0, 1};
    hyperparameter.full = 1;
    hyperparameter.block = static_cast<int32_t>(b);
    hyperparameters_.push_back(std::move(hyperparameter));
  }
}

void SearchSpace::findUnprunable() {
  const Program& program = dependencies_->program();
  for (size_t i = 0; i < program.slots.size(); ++i) {
    if (program.slots[i].kind != Slot::Kind::kParameter) continue;
    // Kernel sizes are no channels.
    for (size_t d = 0; d < std::min<size_t>(program.slots[i].sizes.size(), 2); ++d) {
      for (const Atom atom : dependencies_->labels(static_cast<SlotId>(i), static_cast<int64_t>(d))) {
        if (dependencies_->placeOf(atom).group != kNoGroup) continue;
        unprunable_.push_back(
            {program.slots[i].name, static_cast<int32_t>(d), dependencies_->reasonOf(atom)});
        break;
      }
    }
  }
}

// Choices are the multiples of the first one, as a rule: a look at the right place spares the search.
bool Hyperparameter::offers(int64_t width) const {
  if (width == full) return true;
  const int64_t place = choices.front() > 0 ? width / choices.front() - 1 : -1;
  if (place >= 0 && place < static_cast<int64_t>(choices.size()) && choices[place] == width) return true;
  return std::binary_search(choices.begin(), choices.end(), width);
}

SearchSpace::Subnet SearchSpace::subnetOf(const std::vector<int64_t>& values) const {
  Subnet subnet;
  subnet.custom = customChoiceOf(values);
  subnet.widths.resize(dependencies_->groupCount());
  for (size_t g = 0; g < subnet.widths.size(); ++g) {
    subnet.widths[g] = dependencies_->groupSize(static_cast<int32_t>(g));
  }
  subnet.kept.assign(blocks_.blocks.size(), true);
  for (size_t i = 0; i < hyperparameters_.size(); ++i) {
    const auto& hyperparameter = hyperparameters_[i];
    if (!hyperparameter.offers(values[i])) {
      throw Error("ERR_CHOICE", std::to_string(values[i]) + " is no choice of '" + hyperparameter.name +
                                    "', which has choices from " +
                                    std::to_string(hyperparameter.choices.front()) + " to " +
                                    std::to_string(hyperparameter.full) + ".");
    }
    if (hyperparameter.block >= 0) {
      subnet.kept[hyperparameter.block] = values[i] != 0;
    } else {
      subnet.widths[hyperparameter.group] = values[i];
    }
  }
  return subnet;
}

std::vector<int64_t> SearchSpace::active() const {
  const std::lock_guard<std::mutex> lock(wantedMutex_);
  return wanted_.active;
}

void SearchSpace::select(const std::vector<int64_t>& widths) {
  auto subnet = subnetOf(widths);
  const std::lock_guard<std::mutex> lock(wantedMutex_);
  wanted_.active.assign(widths.begin(), widths.begin() + static_cast<int64_t>(hyperparameters_.size()));
  const auto& custom = subnet.custom.positions();
  wanted_.active.insert(wanted_.active.end(), custom.begin(), custom.end());
  wanted_.subnet = std::move(subnet);
  ++wanted_.version;
  ++wanted_.statistics;
  if (wanted_.expected == nullptr) return;
  const auto& expected = *wanted_.expected;
  for (size_t at = wanted_.next; at < expected.size(); ++at) {
    if (!(expected[at] == wanted_.subnet)) continue;
    wanted_.next = at + 1;
    break;
  }
}

void SearchSpace::recalibrate(bool on) {
  const std::lock_guard<std::mutex> lock(wantedMutex_);
  wanted_.recalibrating = on;
  ++wanted_.version;
  if (on) ++wanted_.statistics;
}

void SearchSpace::adoptSelection() {
  const std::lock_guard<std::mutex> lock(wantedMutex_);
  if (wanted_.statistics != current_.statistics) {
    statistics_.clear();
    recalibrationBatches_ = 0;
  }
  if (wanted_.version != current_.version) current_ = wanted_;
  adoptBudget(wanted_.cacheBudget);
}

double SearchSpace::cost(const std::vector<int64_t>& widths, const std::string& metric) const {
  const Subnet subnet = subnetOf(widths);
  if (metric == "memory") {
    return costs_.cost(subnet.widths, subnet.kept, "size") + memory_->at(subnet.widths, subnet.kept);
  }
  if (metric != "latency") return costs_.cost(subnet.widths, subnet.kept, metric);
  if (latency_ == nullptr) {
    throw Error(
        "ERR_NO_LATENCY_TABLE",
        "Latency needs a table: space.useLatencyTable(await space.measureLatency()), or a saved one.");
  }
  double total = 0;
  for (const auto& [condition, model] : *latency_) {
    if (condition.holds(subnet.kept)) total += model.at(subnet.widths);
  }
  return total;
}

at::Tensor SearchSpace::narrowed(const Dependencies& dependencies, SlotId slot, const at::Tensor& tensor,
                                 const std::vector<int64_t>& widths) const {
  return narrowView(dependencies, slot, tensor.detach(), widths);
}

at::Tensor SearchSpace::narrowView(const Dependencies& dependencies, SlotId slot, const at::Tensor& tensor,
                                   const std::vector<int64_t>& widths) {
  at::Tensor result = tensor;
  for (int64_t d = 0; d < tensor.dim(); ++d) {
    if (dependencies.labels(slot, d).empty()) continue;
    const auto kept = dependencies.kept(slot, d, widths);
    if (static_cast<int64_t>(kept.size()) == tensor.size(d)) continue;
    if (isContiguousRange(kept)) {
      result = result.narrow(d, kept.front(), static_cast<int64_t>(kept.size()));
    } else {
      result = result.index_select(d, at::tensor(kept, at::kLong).to(tensor.device()));
    }
  }
  return result;
}

// Which of the entry's own blocks the subnet keeps: the graph's nodes tell which block is which.
std::vector<bool> SearchSpace::keptIn(const ShapeProgram& entry, const std::vector<bool>& blocks) const {
  std::vector<bool> kept(entry.blocks.blocks.size(), true);
  for (size_t b = 0; b < blocks.size(); ++b) {
    if (blocks[b]) continue;
    const auto* node = dependencies_->program().instructions[blocks_.blocks[b].addition.instruction].node;
    const auto& instructions = entry.program->instructions;
    const auto own = std::find_if(
        entry.blocks.blocks.begin(), entry.blocks.blocks.end(),
        [&](const ResidualBlock& block) { return instructions[block.addition.instruction].node == node; });
    if (own != entry.blocks.blocks.end()) {
      kept[own - entry.blocks.blocks.begin()] = false;
    } else if (std::any_of(instructions.begin(), instructions.end(), [&](const Instruction& instruction) {
                 return instruction.runs() && instruction.node == node;
               })) {
      throw Error("ERR_INPUT_SHAPE", "At this input shape the block '" + blocks_.blocks[b].name +
                                         "' can't be left out. Convert the model with a dummy input of this "
                                         "shape.");
    }
  }
  return kept;
}

void SearchSpace::bind(ShapeProgram& entry) {
  entry.run(keptIn(entry, current_.subnet.kept));
  const Program& program = *entry.running;
  entry.bindings = bindModule(program, module_->jit());
  for (size_t i = 0; i < program.slots.size(); ++i) {
    if (!program.slots[i].isStored()) continue;
    const auto found = statistics_.find(program.slots[i].name);
    auto& value = entry.bindings.values[i];
    value = found != statistics_.end()
                ? found->second
                : narrowed(*entry.dependencies, static_cast<SlotId>(i),
                           current_.subnet.custom.tensorFor(program.slots[i], value), current_.subnet.widths);
  }
  entry.bindings.overrides = mergedOverrides(sizeArguments(*entry.dependencies, current_.subnet.widths),
                                             current_.subnet.custom.numbersFor(program));
  entry.momenta.clear();
  entry.lastNorm = -1;
  if (current_.recalibrating) {
    std::vector<ArgumentOverride> training;
    std::vector<std::pair<int32_t, int32_t>> momenta;
    for (size_t i = 0; i < program.instructions.size(); ++i) {
      const auto& instruction = program.instructions[i];
      if (!instruction.runs() || instruction.schema->name() != "aten::batch_norm") continue;
      const auto position = [&](const char* name) {
        return *instruction.schema->argumentIndexWithName(name);
      };
      bool tracked = true;
      for (const char* name : {"running_mean", "running_var"}) {
        const auto& argument = instruction.arguments[position(name)];
        tracked = tracked && argument.isSlot();
        if (!argument.isSlot()) continue;
        auto& value = entry.bindings.values[argument.slot];
        auto& own = statistics_[program.slots[argument.slot].name];
        if (!own.defined()) own = value.clone();
        value = own;
      }
      if (!tracked) continue;
      entry.lastNorm = static_cast<int32_t>(i);
      training.push_back({entry.lastNorm, position("training"), true});
      training.push_back({entry.lastNorm, position("momentum"), 1.0});
      momenta.emplace_back(entry.lastNorm, position("momentum"));
    }
    entry.bindings.overrides = mergedOverrides(std::move(entry.bindings.overrides), training);
    const auto& overrides = entry.bindings.overrides;
    for (size_t i = 0; i < overrides.size(); ++i) {
      if (std::binary_search(momenta.begin(), momenta.end(),
                             std::make_pair(overrides[i].instruction, overrides[i].argument))) {
        entry.momenta.push_back(i);
      }
    }
  }
  // Without a norm to recalibrate nothing runs.
  if (!current_.recalibrating || entry.lastNorm >= 0) {
    const ProgramPreparer& preparer = entry.preparing(current_.recalibrating, weights_);
    const bool refused = entry.mode(current_.recalibrating).trust == ShapeProgram::Trust::kRefused;
    if (!refused) preparer.prepare(entry.bindings);
    if (current_.recalibrating && entry.bindings.prepared == nullptr) preparer.makeContiguous(entry.bindings);
  }
  entry.selection = current_.version;
  entry.recalibrating = current_.recalibrating;
  prepareReuse(entry);
}

// Momentum 1 / n gives the plain average over the batches seen.
void SearchSpace::setMomenta(ShapeProgram& entry) const {
  const double momentum = 1.0 / static_cast<double>(recalibrationBatches_ + 1);
  for (const size_t at : entry.momenta) entry.bindings.overrides[at].value = momentum;
}

// Whether a prepared run of the first selection that meets this program gives what a plain one gives, and the
// same statistics where these are recomputed; if not, the program always runs as it was recorded.
void SearchSpace::tryPrepared(ShapeProgram& entry, const Bindings& prepared, bool recalibrates,
                              const Inputs& inputs, const CancelToken& cancel) {
  std::vector<size_t> recomputed;
  for (size_t i = 0; recalibrates && i < entry.running->slots.size(); ++i) {
    const auto& slot = entry.running->slots[i];
    if (slot.isStored() && statistics_.count(slot.name) > 0) recomputed.push_back(i);
  }
  const auto run = [&](Bindings bindings) {
    const GeneratorGuard generator;
    const ModuleState state(module_->jit());
    for (const size_t slot : recomputed) bindings.values[slot] = bindings.values[slot].clone();
    std::vector<at::Tensor> outputs;
    collectTensors(entry.executor.run(bindings, inputTensors(*graph_, copied(inputs)), cancel), outputs);
    for (const size_t slot : recomputed) outputs.push_back(bindings.values[slot]);
    return outputs;
  };
  Bindings plain = prepared;
  plain.prepared = nullptr;
  const auto expected = run(plain);
  bool equal = false;
  try {
    const auto actual = run(prepared);
    equal = std::equal(actual.begin(), actual.end(), expected.begin(), expected.end(), agrees);
  } catch (const Error& error) {
    if (error.code() == "ERR_ABORTED") throw;
  }
  entry.mode(recalibrates).trust = equal ? ShapeProgram::Trust::kTrusted : ShapeProgram::Trust::kRefused;
}

SearchSpace::ShapeProgram& SearchSpace::programFor(const Inputs& inputs, const CancelToken& cancel) {
  const std::string key = shapeKey(*graph_, inputs);
  const auto found = programs_.find(key);
  if (found != programs_.end()) return *found->second;
  const ModeGuard evaluation(*module_, /*training=*/false);
  RecordOptions options;
  options.splitBySizes = true;
  const auto recording = record(graph_, inputs, options, cancel);
  const auto dependencies = std::make_shared<const Dependencies>(recording.program, *dependencies_);
  const auto entry = std::make_shared<ShapeProgram>(recording.program, dependencies);
  if (!blocks_.blocks.empty()) entry->blocks = findResidualBlocks(*recording.program);
  return *programs_.emplace(key, entry).first->second;
}

c10::IValue SearchSpace::forward(const Inputs& inputs, const CancelToken& cancel) {
  return forward(inputs, cancel, /*effectsOnly=*/false);
}

void SearchSpace::run(const Inputs& inputs, const CancelToken& cancel) {
  forward(inputs, cancel, /*effectsOnly=*/true);
}

c10::IValue SearchSpace::forward(const Inputs& inputs, const CancelToken& cancel, bool effectsOnly) {
  const auto moduleLock = module_->lock();
  const std::lock_guard<std::recursive_mutex> lock(mutex_);
  adoptSelection();
  if (!inPass_) checkWeights();
  return runSelection(onDevice(inputs, module_->device()), cancel, effectsOnly);
}

c10::IValue SearchSpace::runSelection(const Inputs& inputs, const CancelToken& cancel, bool effectsOnly) {
  const at::NoGradGuard noGrad;
  auto& entry = programFor(inputs, cancel);
  const auto& prepared = entry.bindings.prepared;
  if (entry.selection != current_.version || entry.recalibrating != current_.recalibrating ||
      (prepared != nullptr && !prepared->isCurrent())) {
    bind(entry);
  }
  const bool untried = entry.mode(current_.recalibrating).trust == ShapeProgram::Trust::kUntried;
  if (prepared != nullptr && untried) {
    tryPrepared(entry, entry.bindings, current_.recalibrating, inputs, cancel);
    bind(entry);
  }
  setMomenta(entry);
  RunOptions options;
  // What comes after the last norm changes nothing.
  if (effectsOnly && current_.recalibrating) {
    options.stopBefore = entry.lastNorm + 1;
    if (prepared != nullptr) options.stopBefore = prepared->stopFrom(options.stopBefore);
  }
  const auto tensors = inputTensors(*graph_, inputs);
  const auto output = entry.reuse != nullptr ? runReusing(entry, tensors, options.stopBefore, cancel)
                                             : entry.executor.run(entry.bindings, tensors, cancel, options);
  if (current_.recalibrating) ++recalibrationBatches_;
  return output;
}

void SearchSpace::measure(Importance& importance, const Inputs& inputs, const at::Tensor& target,
                          const CancelToken& cancel) {
  const auto moduleLock = module_->lock();
  const std::lock_guard<std::recursive_mutex> lock(mutex_);
  const Inputs moved = onDevice(inputs, module_->device());
  auto& entry = programFor(moved, cancel);
  entry.run(std::vector<bool>(entry.blocks.blocks.size(), true));
  entry.selection = -1;  // whatever was bound has its blocks back
  Bindings whole = bindModule(*entry.program, module_->jit());
  const auto tensors = inputTensors(*graph_, moved);
  using Trust = ShapeProgram::Trust;
  auto& trust = entry.mode(/*recalibrates=*/false).trust;
  // What is prepared has no gradients, and may lose a NaN of the data, which would ruin the measure unseen.
  if (!importance.needsTarget() && trust != Trust::kRefused && areFinite(tensors)) {
    entry.preparing(/*recalibrates=*/false, weights_).prepare(whole);
    if (whole.prepared != nullptr && trust == Trust::kUntried) {
      tryPrepared(entry, whole, /*recalibrates=*/false, moved, cancel);
    }
    if (trust == Trust::kRefused) whole.prepared = nullptr;
  }
  importance.add({*entry.dependencies, entry.executor, whole.values, tensors, target, whole.prepared},
                 cancel);
}

ChannelScores SearchSpace::scores(const Importance& importance) const {
  const auto moduleLock = module_->lock();
  return importance.scores(*dependencies_, bindModule(dependencies_->program(), module_->jit()).values);
}

// A graph may guard against other widths than the full model's, in ways that no rule knows.
void SearchSpace::verify(Module& subnet) {
  std::vector<at::Tensor> expected;
  std::vector<at::Tensor> actual;
  {
    // Both draw the same random numbers, and leave no trace.
    const GeneratorGuard generator;
    const ModuleState state(module_->jit());
    const bool recalibrating = std::exchange(current_.recalibrating, false);
    checkWeights();
    collectTensors(runSelection(copied(dummyInput_), CancelToken()), expected);
    current_.recalibrating = recalibrating;
  }
  const GeneratorGuard generator;
  const ModuleState state(subnet.jit());
  const ModeGuard evaluation(subnet, /*training=*/false);
  {
    // Optimizing a graph for its only run takes far longer than the run, and grows faster than the graph.
    const torch::jit::GraphOptimizerEnabledGuard plain(false);
    collectTensors(subnet.forward(copied(dummyInput_), CancelToken()), actual);
  }
  bool equal = expected.size() == actual.size();
  for (size_t i = 0; equal && i < expected.size(); ++i) equal = agrees(actual[i], expected[i]);
  if (!equal) {
    throw Error("ERR_EXPORT_MISMATCH",
                "The exported subnet computes something else than the selected one, so it was not given out. "
                "Please report the model; another width for the hyperparameters may work.");
  }
}

std::shared_ptr<Module> SearchSpace::exportSubnet() {
  const auto moduleLock = module_->lock();
  const std::lock_guard<std::recursive_mutex> lock(mutex_);
  adoptSelection();
  return withFailureCode("ERR_EXPORT", [&] {
    const Program& program = dependencies_->program();
    auto tensors = bindModule(program, module_->jit()).values;
    for (size_t i = 0; i < program.slots.size(); ++i) {
      if (!program.slots[i].isStored()) continue;
      const auto found = statistics_.find(program.slots[i].name);
      tensors[i] = found != statistics_.end()
                       ? found->second
                       : narrowed(*dependencies_, static_cast<SlotId>(i),
                                  current_.subnet.custom.tensorFor(program.slots[i], tensors[i]),
                                  current_.subnet.widths);
    }
    const auto arguments = mergedOverrides(sizeArguments(*dependencies_, current_.subnet.widths),
                                           current_.subnet.custom.numbersFor(program));
    auto subnet = std::make_shared<Module>(exportSubnetModule(module_->jit(), *dependencies_, tensors,
                                                              arguments, blocks_, current_.subnet.kept,
                                                              dummyInput_, CancelToken()));
    verify(*subnet);
    return subnet;
  });
}

}  // namespace torchsearch
