// The part of a search space that lets users choose among tensors and constants of their own.
#include <ATen/ATen.h>
#include <torch/csrc/jit/runtime/graph_executor.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "core/base/error.h"
#include "core/forward/agreement.h"
#include "core/graph/generator_guard.h"
#include "core/graph/module_copy.h"
#include "core/graph/module_state.h"
#include "core/graph/recorder.h"
#include "core/space/search_space.h"
#include "core/space/search_space_program.h"

namespace torchsearch {

namespace {

[[noreturn]] void refuse(const CustomHyperparameter& wanted, const std::string& why) {
  throw Error("ERR_HYPERPARAMETER", "The hyperparameter '" + wanted.name + "' " + why);
}

std::string shapeOf(at::IntArrayRef sizes) {
  std::string text = "[";
  for (size_t d = 0; d < sizes.size(); ++d) text += (d == 0 ? "" : ", ") + std::to_string(sizes[d]);
  return text + "]";
}

// Watches whether every operator gives tensors of the shapes and dtypes that were recorded.
class ShapeWatch : public ExecutionObserver {
 public:
  explicit ShapeWatch(const Program& program) : program_(program) {}

  void beforeInstruction(int32_t, const std::vector<at::Tensor>&) override {}
  void afterInstruction(int32_t instruction, const std::vector<at::Tensor>& values) override {
    for (const auto& result : program_.instructions[instruction].results) {
      forEachSlot(result, [&](SlotId slot) {
        const auto& recorded = program_.slots[slot];
        const auto& value = values[slot];
        if (!differs_.empty() || !value.defined()) return;
        if (value.sizes() == at::IntArrayRef(recorded.sizes) && value.scalar_type() == recorded.dtype) return;
        differs_ = program_.instructions[instruction].schema->name() + " gives " + shapeOf(value.sizes()) +
                   " of " + c10::toString(value.scalar_type()) + " in place of " + shapeOf(recorded.sizes) +
                   " of " + c10::toString(recorded.dtype);
      });
    }
  }

  const std::string& differs() const { return differs_; }

 private:
  const Program& program_;
  std::string differs_;
};

std::vector<at::Tensor> tensorsIn(const c10::IValue& value) {
  std::vector<at::Tensor> tensors;
  collectTensors(value, tensors);
  return tensors;
}

}  // namespace

std::shared_ptr<const CustomHyperparameters> SearchSpace::customs() const {
  const std::lock_guard<std::mutex> lock(wantedMutex_);
  return customs_;
}

CustomChoice SearchSpace::customChoiceOf(const std::vector<int64_t>& values) const {
  const auto all = customs();
  const size_t least = hyperparameters_.size();
  const size_t most = least + (all == nullptr ? 0 : all->size());
  if (values.size() < least || values.size() > most) {
    throw Error("ERR_CHOICE", "Expected " + std::to_string(most) + " widths but received " +
                                  std::to_string(values.size()) + ".");
  }
  if (all == nullptr) return {};
  std::vector<int64_t> positions;
  for (size_t c = 0; c < all->size(); ++c) {
    const auto& custom = *(*all)[c];
    const int64_t position = least + c < values.size() ? values[least + c] : custom.own();
    if (position < 0 || position > custom.own()) {
      throw Error("ERR_CHOICE", std::to_string(position) + " is no position among the choices of '" +
                                    custom.name + "', which has " + std::to_string(custom.own() + 1) + ".");
    }
    positions.push_back(position);
  }
  return {all, std::move(positions)};
}

void SearchSpace::requireFree(const CustomHyperparameter& wanted) const {
  std::vector<std::string> names;
  for (const auto& hyperparameter : hyperparameters_) names.push_back(hyperparameter.name);
  const auto all = customs();
  for (size_t c = 0; all != nullptr && c < all->size(); ++c) {
    const auto& other = *(*all)[c];
    names.push_back(other.name);
    if (!wanted.tensor.empty() && wanted.tensor == other.tensor) {
      refuse(wanted, "would choose '" + wanted.tensor + "', as '" + other.name + "' does already.");
    }
    for (const auto& constant : wanted.constants) {
      for (const auto& taken : other.constants) {
        if (constant.name != taken.name) continue;
        refuse(wanted, "would choose '" + constant.name + "', as '" + other.name + "' does already.");
      }
    }
  }
  if (std::find(names.begin(), names.end(), wanted.name) != names.end()) {
    refuse(wanted, "exists already; add yours by another name.");
  }
}

std::shared_ptr<const CustomHyperparameter> SearchSpace::addTensors(const std::string& name,
                                                                    const std::string& tensor,
                                                                    const std::vector<at::Tensor>& values,
                                                                    Channels channels,
                                                                    const CancelToken& cancel) {
  const auto moduleLock = module_->lock();
  const std::lock_guard<std::recursive_mutex> lock(mutex_);
  const at::NoGradGuard noGrad;
  CustomHyperparameter wanted;
  wanted.name = name;
  // A tensor may have several names: the program knows the first.
  at::Tensor own;
  const auto jit = module_->jit();
  for (const auto& item : jit.named_parameters()) {
    if (item.name == tensor) own = item.value;
  }
  for (const auto& item : jit.named_buffers()) {
    if (item.name == tensor) own = item.value;
  }
  if (!own.defined()) {
    throw Error("ERR_UNKNOWN_TENSOR", "The model has no parameter or buffer '" + tensor + "'.");
  }
  const auto bound = bindModule(*program_, jit).values;
  SlotId slot = 0;
  while (!program_->slots[slot].isStored() || !bound[slot].is_same(own)) ++slot;
  wanted.tensor = program_->slots[slot].name;
  requireFree(wanted);
  if (values.empty()) refuse(wanted, "needs at least one tensor beside the model's own.");
  for (const auto& value : values) {
    if (value.sizes() != own.sizes() || value.scalar_type() != own.scalar_type()) {
      refuse(wanted, "needs tensors like '" + tensor + "', of shape " + shapeOf(own.sizes()) + " and " +
                         c10::toString(own.scalar_type()) + ", but was given one of " +
                         shapeOf(value.sizes()) + " and " + c10::toString(value.scalar_type()) + ".");
    }
    const bool floating = at::isFloatingType(value.scalar_type()) || at::isComplexType(value.scalar_type());
    if (floating && !at::isfinite(value).all().item<bool>()) {
      refuse(wanted, "was given a tensor with elements that are no finite numbers.");
    }
    const at::Tensor copy = at::empty_like(own).copy_(value.detach());
    if (channels == Channels::kOriginal && !order_.empty()) {
      permuteChannels(*dependencies_, slot, copy, order_);
    }
    wanted.tensors.push_back(copy);
  }
  requireSameComputation(wanted, own, cancel);
  return add(std::move(wanted));
}

std::shared_ptr<const CustomHyperparameter> SearchSpace::addNumbers(const std::string& name,
                                                                    const std::vector<std::string>& constants,
                                                                    const std::vector<double>& numbers,
                                                                    const CancelToken& cancel) {
  const auto moduleLock = module_->lock();
  const std::lock_guard<std::recursive_mutex> lock(mutex_);
  const at::NoGradGuard noGrad;
  CustomHyperparameter wanted;
  wanted.name = name;
  const auto known = this->constants();
  for (const auto& path : constants) {
    const auto found = std::find_if(known.begin(), known.end(),
                                    [&](const GraphConstant& constant) { return constant.name == path; });
    if (found == known.end()) {
      throw Error("ERR_UNKNOWN_CONSTANT",
                  "The graph has no constant '" + path + "'; constants() lists what it has.");
    }
    wanted.constants.push_back(*found);
  }
  if (wanted.constants.empty()) refuse(wanted, "needs a constant.");
  requireFree(wanted);
  const double own = wanted.constants.front().number();
  for (const auto& constant : wanted.constants) {
    if (constant.number() != own) {
      refuse(wanted, "would choose constants that have different numbers now; add one for each.");
    }
  }
  for (const double number : numbers) {
    if (!std::isfinite(number)) refuse(wanted, "was given a value that is no finite number.");
    for (const auto& constant : wanted.constants) {
      if (constant.type() == at::kBool && number != 0 && number != 1) {
        refuse(wanted, "needs 0 or 1: '" + constant.name + "' is true or false.");
      }
    }
    const bool twice =
        std::find(wanted.numbers.begin(), wanted.numbers.end(), number) != wanted.numbers.end();
    if (number != own && !twice) wanted.numbers.push_back(number);
  }
  if (wanted.numbers.empty()) {
    refuse(wanted, "needs at least one value other than the model's own, " + std::to_string(own) + ".");
  }
  requireSameShapes(wanted, cancel);
  return add(std::move(wanted));
}

// A recording holds what followed from a tensor's values: numbers, and which way the graph went.
void SearchSpace::requireSameComputation(const CustomHyperparameter& wanted, const at::Tensor& own,
                                         const CancelToken& cancel) {
  const auto all = std::make_shared<CustomHyperparameters>();
  all->push_back(std::make_shared<const CustomHyperparameter>(wanted));
  Executor executor(std::make_shared<const ExecutionPlan>(program_));
  for (size_t v = 0; v < wanted.tensors.size(); ++v) {
    std::vector<at::Tensor> recorded;
    {
      const GeneratorGuard generator;
      const ModuleState state(module_->jit());
      Bindings bindings = bindModule(*program_, module_->jit());
      const CustomChoice choice(all, {static_cast<int64_t>(v)});
      for (size_t i = 0; i < program_->slots.size(); ++i) {
        const auto& slot = program_->slots[i];
        if (slot.isStored()) bindings.values[i] = choice.tensorFor(slot, bindings.values[i]);
      }
      recorded = tensorsIn(executor.run(bindings, inputTensors(*graph_, copied(dummyInput_)), cancel));
    }
    const GeneratorGuard generator;
    torch::jit::Module edited = module_->jit().clone(/*inplace=*/true);
    // Its buffers are the module's.
    const ModuleState state(edited);
    replaceTensors(edited, {{own.unsafeGetTensorImpl(), wanted.tensors[v].clone()}});
    edited.eval();
    const torch::jit::GraphOptimizerEnabledGuard plain(false);
    const auto actual = tensorsIn(Module(edited).forward(copied(dummyInput_), cancel));
    if (!std::equal(actual.begin(), actual.end(), recorded.begin(), recorded.end(), agrees)) {
      throw Error("ERR_DATA_DEPENDENT", "The model's control flow or numbers depend on the values of '" +
                                            wanted.tensor + "', so other tensors can't take its place.");
    }
  }
}

void SearchSpace::requireSameShapes(const CustomHyperparameter& wanted, const CancelToken& cancel) {
  const auto all = std::make_shared<CustomHyperparameters>();
  all->push_back(std::make_shared<const CustomHyperparameter>(wanted));
  Executor executor(std::make_shared<const ExecutionPlan>(program_));
  for (size_t v = 0; v < wanted.numbers.size(); ++v) {
    const GeneratorGuard generator;
    const ModuleState state(module_->jit());
    Bindings bindings = bindModule(*program_, module_->jit());
    bindings.overrides = CustomChoice(all, {static_cast<int64_t>(v)}).numbersFor(*program_);
    ShapeWatch watch(*program_);
    RunOptions options;
    options.observer = &watch;
    const std::string value = std::to_string(wanted.numbers[v]);
    try {
      executor.run(bindings, inputTensors(*graph_, copied(dummyInput_)), cancel, options);
    } catch (const Error& error) {
      if (error.code() != "ERR_FORWARD") throw;
      refuse(wanted, "can't be " + value + ": " + error.what());
    }
    if (!watch.differs().empty()) {
      refuse(wanted, "can't be " + value + ", which changes shapes or dtypes: " + watch.differs() + ".");
    }
  }
}

std::shared_ptr<const CustomHyperparameter> SearchSpace::add(CustomHyperparameter wanted) {
  const auto& instructions = program_->instructions;
  const auto first =
      std::find_if(instructions.begin(), instructions.end(),
                   [&](const Instruction& instruction) { return wanted.changes(*program_, instruction); });
  if (first == instructions.end()) {
    refuse(wanted, "would choose '" + wanted.tensor + "', which no operator reads on the dummy input.");
  }
  wanted.begins = static_cast<int32_t>(first - instructions.begin());
  const auto added = std::make_shared<const CustomHyperparameter>(std::move(wanted));
  // What activations are known by says nothing of it.
  for (auto& item : programs_) {
    item.second->reuse.reset();
    item.second->selection = -1;
  }
  cache_.clear();
  const std::lock_guard<std::mutex> lock(wantedMutex_);
  const auto all = std::make_shared<CustomHyperparameters>();
  if (customs_ != nullptr) *all = *customs_;
  all->push_back(added);
  customs_ = all;
  auto positions = wanted_.subnet.custom.positions();
  positions.push_back(added->own());
  wanted_.active.push_back(added->own());
  wanted_.subnet.custom = CustomChoice(all, std::move(positions));
  wanted_.expected = nullptr;
  ++wanted_.version;
  return added;
}

std::string SearchSpace::reorder(const Importance& importance) {
  const auto moduleLock = module_->lock();
  const std::lock_guard<std::recursive_mutex> lock(mutex_);
  const auto order = descendingOrder(scores(importance));
  permuteChannels(*dependencies_, bindModule(dependencies_->program(), module_->jit()).values, order);
  if (const auto all = customs()) {
    for (size_t i = 0; i < program_->slots.size(); ++i) {
      const auto& slot = program_->slots[i];
      for (const auto& custom : *all) {
        if (!slot.isStored() || custom->tensor != slot.name) continue;
        for (const auto& tensor : custom->tensors) {
          permuteChannels(*dependencies_, static_cast<SlotId>(i), tensor, order);
        }
      }
    }
  }
  order_ = composed(order_, order);
  // Weights that a subnet gathers, rather than views, are of the order before.
  const std::lock_guard<std::mutex> wantedLock(wantedMutex_);
  ++wanted_.version;
  ++wanted_.statistics;
  return digestOf(order);
}

}  // namespace torchsearch
