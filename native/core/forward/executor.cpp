#include "core/forward/executor.h"

#include <ATen/core/Dict.h>
#include <ATen/core/List.h>

#include <algorithm>
#include <string>
#include <unordered_map>

#include "core/base/error.h"
#include "core/base/failure.h"
#include "core/device/tensor_memory.h"
#include "core/forward/fused_steps.h"
#include "core/forward/prepared_program.h"
#include "core/graph/recorder.h"

namespace torchsearch {

using c10::IValue;

namespace {

IValue materializeList(const ValueTree& tree, const std::vector<at::Tensor>& values) {
  c10::impl::GenericList list(tree.type);
  list.reserve(tree.children.size());
  for (const auto& child : tree.children) list.push_back(materialize(child, values));
  return list;
}

IValue materializeTuple(const ValueTree& tree, const std::vector<at::Tensor>& values) {
  std::vector<IValue> elements;
  elements.reserve(tree.children.size());
  for (const auto& child : tree.children) elements.push_back(materialize(child, values));
  const auto type = tree.type ? tree.type->cast<c10::TupleType>() : nullptr;
  if (type && type->name()) return c10::ivalue::Tuple::createNamed(std::move(elements), type);
  return c10::ivalue::Tuple::create(std::move(elements));
}

IValue materializeDict(const ValueTree& tree, const std::vector<at::Tensor>& values) {
  const auto& type = tree.type->expectRef<c10::DictType>();
  c10::impl::GenericDict dict(type.getKeyType(), type.getValueType());
  const auto keys = tree.constant.toListRef();
  for (size_t i = 0; i < tree.children.size(); ++i) {
    dict.insert_or_assign(keys[i], materialize(tree.children[i], values));
  }
  return dict;
}

// Copies tensors so that those which shared memory still do: what is written through one shows in the others.
class SharedCopies {
 public:
  at::Tensor copy(const at::Tensor& tensor) {
    const auto& storage = tensor.storage();
    const auto [found, added] = copies_.try_emplace(storage.unsafeGetStorageImpl());
    if (added) {
      const auto elements = static_cast<int64_t>(storage.nbytes() / tensor.element_size());
      found->second = at::empty({0}, tensor.options()).set_(storage, 0, {elements}, {1}).clone();
    }
    return at::empty({0}, tensor.options())
        .set_(found->second.storage(), tensor.storage_offset(), tensor.sizes(), tensor.strides());
  }

 private:
  std::unordered_map<const c10::StorageImpl*, at::Tensor> copies_;
};

std::string describe(const Instruction& instruction) {
  std::string text = instruction.schema != nullptr ? instruction.schema->name() : "an operator";
  if (!instruction.scope.empty()) text += " in '" + instruction.scope + "'";
  return text;
}

}  // namespace

IValue materialize(const ValueTree& tree, const std::vector<at::Tensor>& values) {
  switch (tree.kind) {
    case ValueTree::Kind::kConstant:
      return tree.constant;
    case ValueTree::Kind::kSlot:
      return values[tree.slot];
    case ValueTree::Kind::kList:
      return materializeList(tree, values);
    case ValueTree::Kind::kTuple:
      return materializeTuple(tree, values);
    case ValueTree::Kind::kDict:
      return materializeDict(tree, values);
  }
  return {};
}

Executor::Executor(std::shared_ptr<const ExecutionPlan> plan) : plan_(std::move(plan)) {
  operations_.reserve(plan_->instructionCount());
  for (const auto& instruction : plan_->program().instructions) operations_.push_back(instruction.operation);
  stack_.reserve(32);
}

IValue Executor::run(const Bindings& bindings, const std::vector<at::Tensor>& inputs,
                     const CancelToken& cancel, const RunOptions& options) {
  const TensorMemory::Scope memory;
  load(bindings, inputs, options);
  try {
    if (bindings.prepared != nullptr) {
      loopPrepared(bindings, cancel, options);
    } else {
      loop(bindings, cancel, options);
    }
  } catch (const Error&) {
    drop();
    throw;
  } catch (const std::exception&) {
    drop();
    Failure failure = describeFailure(std::current_exception(), "ERR_FORWARD");
    if (failure.code == "ERR_FORWARD") {
      failure.message = "The model's forward failed at " + describe(plan_->program().instructions[current_]) +
                        ": " + failure.message;
    }
    throw Error(failure.code, failure.message);
  }
  const bool whole = current_ >= plan_->instructionCount();
  IValue output = whole ? materialize(plan_->program().output, values_) : IValue();
  drop();
  return output;
}

// Keeps no tensor alive from one run to the next: one that failed may have left the arguments of its
// operator.
void Executor::drop() {
  values_.clear();
  stack_.clear();
}

void Executor::load(const Bindings& bindings, const std::vector<at::Tensor>& inputs,
                    const RunOptions& options) {
  const auto& program = plan_->program();
  TORCH_CHECK(bindings.values.size() == program.slots.size(), "bindings hold ", bindings.values.size(),
              " slots, the program has ", program.slots.size());
  values_ = bindings.values;
  current_ = 0;
  if (inputs.size() == program.inputs.size()) {
    for (size_t i = 0; i < inputs.size(); ++i) values_[program.inputs[i]] = inputs[i];
  } else if (options.resumeFrom == nullptr) {
    throw Error("ERR_INPUT_COUNT", "The model was analysed with " + std::to_string(program.inputs.size()) +
                                       " input tensors and got " + std::to_string(inputs.size()) +
                                       ". Pass inputs of the same structure as the dummy input.");
  }
  if (options.resumeFrom != nullptr) {
    // The cache must survive what the rest of the program writes in place.
    SharedCopies copies;
    for (const auto& [slot, tensor] : options.resumeFrom->tensors) {
      values_[slot] =
          plan_->writtenFrom(slot, options.resumeFrom->instruction) ? copies.copy(tensor) : tensor;
    }
    current_ = options.resumeFrom->instruction;
  }
}

void Executor::loop(const Bindings& bindings, const CancelToken& cancel, const RunOptions& options) {
  const auto& instructions = plan_->program().instructions;
  const ArgumentOverride* next = bindings.overrides.data();
  const ArgumentOverride* last = next + bindings.overrides.size();
  const int32_t count = std::min(plan_->instructionCount(), options.stopBefore);
  size_t captured = 0;
  const size_t captures = options.captures == nullptr ? 0 : options.captures->size();
  for (; current_ < count; ++current_) {
    if (captured < captures && (*options.captures)[captured].instruction == current_) {
      capture((*options.captures)[captured++]);
    }
    if (!instructions[current_].runs()) continue;
    cancel.throwIfCancelled();
    if (options.observer != nullptr) options.observer->beforeInstruction(current_, values_);
    step(current_, next, last);
    if (options.observer != nullptr) options.observer->afterInstruction(current_, values_);
    for (const SlotId slot : plan_->releasedAfter(current_)) values_[slot].reset();
  }
}

void Executor::loopPrepared(const Bindings& bindings, const CancelToken& cancel, const RunOptions& options) {
  // What is prepared is only ever run without gradients: autograd's layers of dispatch can be left out.
  const at::AutoDispatchBelowADInplaceOrView direct;
  const PreparedProgram& prepared = *bindings.prepared;
  const auto& instructions = plan_->program().instructions;
  const ArgumentOverride* next = bindings.overrides.data();
  const ArgumentOverride* last = next + bindings.overrides.size();
  const int32_t count = std::min(plan_->instructionCount(), options.stopBefore);
  size_t captured = 0;
  const size_t captures = options.captures == nullptr ? 0 : options.captures->size();
  bool stops = prepared.canStopBefore(current_) && prepared.canStopBefore(count);
  for (size_t c = 0; c < captures; ++c) {
    stops = stops && prepared.canStopBefore((*options.captures)[c].instruction);
  }
  TORCH_CHECK(stops, "a run can't stop amid a fused step");
  auto relayout = prepared.relayouts().begin();
  for (; current_ < count; ++current_) {
    if (captured < captures && (*options.captures)[captured].instruction == current_) {
      capture((*options.captures)[captured++]);
    }
    if (!instructions[current_].runs()) continue;
    const auto role = prepared.roleOf(current_);
    if (role != PreparedProgram::Role::kAbsorbed) {
      cancel.throwIfCancelled();
      for (; relayout != prepared.relayouts().end() && relayout->instruction <= current_; ++relayout) {
        auto& value = values_[relayout->slot];
        if (relayout->instruction == current_) value = inLayout(value, relayout->layout);
      }
      if (options.observer != nullptr) options.observer->beforeInstruction(current_, values_);
      if (role == PreparedProgram::Role::kStep) {
        prepared.stepAt(current_).run(values_);
      } else {
        step(current_, next, last);
      }
      if (options.observer != nullptr) options.observer->afterInstruction(current_, values_);
    }
    for (const SlotId slot : plan_->releasedAfter(current_)) values_[slot].reset();
  }
}

void Executor::step(int32_t index, const ArgumentOverride*& nextOverride,
                    const ArgumentOverride* lastOverride) {
  const auto& instruction = plan_->program().instructions[index];
  stack_.clear();
  while (nextOverride != lastOverride && nextOverride->instruction < index) ++nextOverride;
  const size_t arguments = instruction.arguments.size();
  for (size_t argument = 0; argument < arguments; ++argument) {
    if (nextOverride != lastOverride && nextOverride->instruction == index &&
        nextOverride->argument == static_cast<int32_t>(argument)) {
      stack_.push_back(nextOverride->value);
      ++nextOverride;
    } else {
      push(instruction.arguments[argument]);
    }
  }
  if (instruction.schema != nullptr && instruction.schema->is_vararg()) {
    stack_.emplace_back(static_cast<int64_t>(arguments));
  }
  operations_[index](stack_);
  for (size_t result = 0; result < instruction.results.size(); ++result) {
    store(instruction.results[result], stack_[result]);
  }
  stack_.clear();
}

void Executor::push(const ValueTree& tree) {
  if (tree.kind == ValueTree::Kind::kSlot) {
    stack_.emplace_back(values_[tree.slot]);
  } else if (tree.kind == ValueTree::Kind::kConstant) {
    stack_.push_back(tree.constant);
  } else {
    stack_.push_back(materialize(tree, values_));
  }
}

void Executor::store(const ValueTree& tree, const IValue& value) {
  switch (tree.kind) {
    case ValueTree::Kind::kConstant:
      return;
    case ValueTree::Kind::kSlot:
      values_[tree.slot] = value.toTensor();
      return;
    case ValueTree::Kind::kList: {
      const auto elements = value.toListRef();
      for (size_t i = 0; i < tree.children.size(); ++i) store(tree.children[i], elements[i]);
      return;
    }
    case ValueTree::Kind::kTuple: {
      const auto& elements = value.toTupleRef().elements();
      for (size_t i = 0; i < tree.children.size(); ++i) store(tree.children[i], elements[i]);
      return;
    }
    case ValueTree::Kind::kDict: {
      const auto dict = value.toGenericDict();
      const auto keys = tree.constant.toListRef();
      for (size_t i = 0; i < tree.children.size(); ++i) store(tree.children[i], dict.at(keys[i]));
      return;
    }
  }
}

void Executor::capture(Activations& captured) const {
  captured.tensors.clear();
  SharedCopies copies;
  for (const SlotId slot : plan_->liveSlotsAt(captured.instruction)) {
    const auto& tensor = values_[slot];
    const bool written = plan_->writtenFrom(slot, captured.instruction);
    captured.tensors.emplace_back(slot, written ? copies.copy(tensor) : tensor);
  }
}

Bindings bindModule(const Program& program, const torch::jit::Module& module) {
  std::unordered_map<std::string, at::Tensor> byName;
  for (const auto& parameter : module.named_parameters()) byName.emplace(parameter.name, parameter.value);
  for (const auto& buffer : module.named_buffers()) byName.emplace(buffer.name, buffer.value);
  Bindings bindings;
  bindings.values.resize(program.slots.size());
  for (size_t slot = 0; slot < program.slots.size(); ++slot) {
    const auto& description = program.slots[slot];
    if (description.kind == Slot::Kind::kConstant) {
      bindings.values[slot] = description.constant;
    } else if (description.isStored()) {
      const auto found = byName.find(description.name);
      TORCH_CHECK(found != byName.end(), "the module has no tensor named ", description.name);
      bindings.values[slot] = found->second;
    }
  }
  return bindings;
}

std::vector<at::Tensor> inputTensors(const InlinedGraph& graph, const Inputs& inputs) {
  std::vector<at::Tensor> tensors;
  const auto arguments = arrangeInputs(graph, inputs);
  for (size_t i = 1; i < arguments.size(); ++i) collectTensors(arguments[i], tensors);
  return tensors;
}

}  // namespace torchsearch
