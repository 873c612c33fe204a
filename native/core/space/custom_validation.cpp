#include "core/space/custom_validation.h"

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
#include "core/model/output_check.h"

namespace torchsearch {

namespace {

[[noreturn]] void refuse(const CustomHyperparameter& wanted, const std::string& why) {
  throw Error("ERR_HYPERPARAMETER", "The hyperparameter '" + wanted.name + "' " + why);
}

std::string shapeText(at::IntArrayRef sizes) {
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
        differs_ = program_.instructions[instruction].schema->name() + " gives " + shapeText(value.sizes()) +
                   " of " + c10::toString(value.scalar_type()) + " in place of " + shapeText(recorded.sizes) +
                   " of " + c10::toString(recorded.dtype);
      });
    }
  }

  const std::string& differs() const { return differs_; }

 private:
  const Program& program_;
  std::string differs_;
};

// A choice among `wanted` alone.
CustomChoice choiceOf(const CustomHyperparameter& wanted, size_t position) {
  const auto all = std::make_shared<CustomHyperparameters>();
  all->push_back(std::make_shared<const CustomHyperparameter>(wanted));
  return {all, {static_cast<int64_t>(position)}};
}

at::Tensor tensorNamed(const torch::jit::Module& module, const std::string& name) {
  at::Tensor found;
  for (const auto& item : module.named_parameters()) {
    if (item.name == name) found = item.value;
  }
  for (const auto& item : module.named_buffers()) {
    if (item.name == name) found = item.value;
  }
  if (!found.defined()) {
    throw Error("ERR_UNKNOWN_TENSOR", "The model has no parameter or buffer '" + name + "'.");
  }
  return found;
}

void requireLike(const CustomHyperparameter& wanted, const std::string& tensor, const at::Tensor& own,
                 const at::Tensor& value) {
  if (value.sizes() != own.sizes() || value.scalar_type() != own.scalar_type()) {
    refuse(wanted, "needs tensors like '" + tensor + "', of shape " + shapeText(own.sizes()) + " and " +
                       c10::toString(own.scalar_type()) + ", but was given one of " +
                       shapeText(value.sizes()) + " and " + c10::toString(value.scalar_type()) + ".");
  }
  const bool floating = at::isFloatingType(value.scalar_type()) || at::isComplexType(value.scalar_type());
  if (floating && !at::isfinite(value).all().item<bool>()) {
    refuse(wanted, "was given a tensor with elements that are no finite numbers.");
  }
}

}  // namespace

void CustomValidation::requireFree(const CustomHyperparameter& wanted) const {
  std::vector<std::string> names;
  for (const auto& hyperparameter : hyperparameters_) names.push_back(hyperparameter.name);
  for (size_t c = 0; customs_ != nullptr && c < customs_->size(); ++c) {
    const auto& other = *(*customs_)[c];
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

CustomHyperparameter CustomValidation::ofTensors(const std::string& name, const std::string& tensor,
                                                 const std::vector<at::Tensor>& values,
                                                 const ChannelOrder& order, const CancelToken& cancel) const {
  CustomHyperparameter wanted;
  wanted.name = name;
  const auto jit = model_.module->jit();
  const at::Tensor own = tensorNamed(jit, tensor);
  // A tensor may have several names: the program knows the first.
  const Program& program = *model_.program;
  const auto bound = bindModule(program, jit).values;
  SlotId slot = 0;
  while (!program.slots[slot].isStored() || !bound[slot].is_same(own)) ++slot;
  wanted.tensor = program.slots[slot].name;
  requireFree(wanted);
  if (values.empty()) refuse(wanted, "needs at least one tensor beside the model's own.");
  for (const auto& value : values) {
    requireLike(wanted, tensor, own, value);
    const at::Tensor copy = at::empty_like(own).copy_(value.detach());
    if (!order.empty()) permuteChannels(*model_.dependencies, slot, copy, order);
    wanted.tensors.push_back(copy);
  }
  requireSameComputation(wanted, own, cancel);
  return placed(std::move(wanted));
}

CustomHyperparameter CustomValidation::ofNumbers(const std::string& name,
                                                 const std::vector<std::string>& constants,
                                                 const std::vector<double>& numbers,
                                                 const CancelToken& cancel) const {
  CustomHyperparameter wanted;
  wanted.name = name;
  const auto known = graphConstants(*model_.dependencies);
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
  return placed(std::move(wanted));
}

// A recording holds what followed from a tensor's values: numbers, and which way the graph went.
void CustomValidation::requireSameComputation(const CustomHyperparameter& wanted, const at::Tensor& own,
                                              const CancelToken& cancel) const {
  const torch::jit::Module module = model_.module->jit();
  const Program& program = *model_.program;
  Executor executor(std::make_shared<const ExecutionPlan>(model_.program));
  for (size_t v = 0; v < wanted.tensors.size(); ++v) {
    const auto recorded = outputsWithoutTrace(module, [&] {
      Bindings bindings = bindModule(program, module);
      const CustomChoice choice = choiceOf(wanted, v);
      for (size_t i = 0; i < program.slots.size(); ++i) {
        const auto& slot = program.slots[i];
        if (slot.isStored()) bindings.values[i] = choice.tensorFor(slot, bindings.values[i]);
      }
      return executor.run(bindings, inputTensors(*model_.graph, copied(model_.dummyInput)), cancel);
    });
    torch::jit::Module edited = module.clone(/*inplace=*/true);
    replaceTensors(edited, {{own.unsafeGetTensorImpl(), wanted.tensors[v].clone()}});
    edited.eval();
    const torch::jit::GraphOptimizerEnabledGuard plain(false);
    const auto actual = outputsWithoutTrace(
        edited, [&] { return Module(edited).forward(copied(model_.dummyInput), cancel); });
    if (!agree(actual, recorded)) {
      throw Error("ERR_DATA_DEPENDENT", "The model's control flow or numbers depend on the values of '" +
                                            wanted.tensor + "', so other tensors can't take its place.");
    }
  }
}

void CustomValidation::requireSameShapes(const CustomHyperparameter& wanted,
                                         const CancelToken& cancel) const {
  const torch::jit::Module module = model_.module->jit();
  Executor executor(std::make_shared<const ExecutionPlan>(model_.program));
  for (size_t v = 0; v < wanted.numbers.size(); ++v) {
    const GeneratorGuard generator;
    const ModuleState state(module);
    Bindings bindings = bindModule(*model_.program, module);
    bindings.overrides = choiceOf(wanted, v).numbersFor(*model_.program);
    ShapeWatch watch(*model_.program);
    RunOptions options;
    options.observer = &watch;
    const std::string value = std::to_string(wanted.numbers[v]);
    try {
      executor.run(bindings, inputTensors(*model_.graph, copied(model_.dummyInput)), cancel, options);
    } catch (const Error& error) {
      if (error.code() != "ERR_FORWARD") throw;
      refuse(wanted, "can't be " + value + ": " + error.what());
    }
    if (!watch.differs().empty()) {
      refuse(wanted, "can't be " + value + ", which changes shapes or dtypes: " + watch.differs() + ".");
    }
  }
}

// Finds where it begins.
CustomHyperparameter CustomValidation::placed(CustomHyperparameter wanted) const {
  const auto& instructions = model_.program->instructions;
  const auto first = std::find_if(
      instructions.begin(), instructions.end(),
      [&](const Instruction& instruction) { return wanted.changes(*model_.program, instruction); });
  if (first == instructions.end()) {
    refuse(wanted, "would choose '" + wanted.tensor + "', which no operator reads on the dummy input.");
  }
  wanted.begins = static_cast<int32_t>(first - instructions.begin());
  return wanted;
}

}  // namespace torchsearch
