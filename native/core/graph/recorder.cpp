#include "core/graph/recorder.h"

#include <ATen/core/function_schema.h>

#include <algorithm>
#include <unordered_set>
#include <utility>

#include "core/base/error.h"
#include "core/base/failure.h"
#include "core/call/arguments.h"
#include "core/call/input_contract.h"
#include "core/graph/data_dependence.h"
#include "core/graph/generator_guard.h"
#include "core/graph/interpreter.h"
#include "core/graph/module_state.h"
#include "core/graph/operator_traits.h"
#include "core/graph/source_place.h"

namespace torchsearch {

using c10::IValue;
using torch::jit::Node;

namespace {

bool isTensorLike(const c10::TypePtr& type) {
  switch (type->kind()) {
    case c10::TypeKind::TensorType:
      return true;
    case c10::TypeKind::OptionalType:
      return isTensorLike(type->expectRef<c10::OptionalType>().getElementType());
    case c10::TypeKind::ListType:
      return isTensorLike(type->expectRef<c10::ListType>().getElementType());
    default:
      return false;
  }
}

class Recorder : public InterpreterObserver {
 public:
  Recorder(const std::shared_ptr<InlinedGraph>& graph, const RecordOptions& options)
      : options_(options), program_(std::make_shared<Program>()) {
    program_->graph = graph;
    for (const auto& parameter : graph->module().named_parameters()) {
      registerTensor(parameter.value, Slot::Kind::kParameter, parameter.name);
    }
    for (const auto& buffer : graph->module().named_buffers()) {
      registerTensor(buffer.value, Slot::Kind::kBuffer, buffer.name);
    }
  }

  void registerInputs(const std::vector<IValue>& inputs) {
    std::vector<at::Tensor> tensors;
    for (size_t i = 1; i < inputs.size(); ++i) collectTensors(inputs[i], tensors);
    for (const auto& tensor : tensors) {
      const SlotId slot =
          registerTensor(tensor, Slot::Kind::kInput, "input" + std::to_string(program_->inputs.size()));
      program_->inputs.push_back(slot);
      tainted_.resize(program_->slots.size(), false);
      tainted_[slot] = true;
    }
  }

  void onOperator(Node* node, const torch::jit::Operation& operation, const std::vector<IValue>& arguments,
                  const std::vector<IValue>& results, bool speculative) override {
    const c10::FunctionSchema* schema = node->maybeSchema();
    if (schema == nullptr) return;
    const bool taint = isTainted(arguments);
    if (taint && !speculative && readsValues(*schema, arguments) && !program_->dataDependent) {
      program_->dataDependent = true;
      program_->dataDependence = describeDependence(node, schema->name());
    }
    if (!producesTensors(*schema)) {
      if (!speculative) markAsked(node, arguments);
      if (node->kind() == torch::jit::aten::size) noteSized(node, arguments[0].toTensor());
      return;
    }
    Instruction instruction(operation);
    instruction.node = node;
    instruction.schema = schema;
    instruction.speculative = speculative;
    instruction.scope = modulePath(node);
    instruction.arguments.reserve(arguments.size());
    for (const auto& argument : arguments)
      instruction.arguments.push_back(treeOf(argument, Slot::Kind::kConstant));
    const auto position = static_cast<int32_t>(program_->instructions.size());
    for (const auto& result : results) {
      std::vector<at::Tensor> tensors;
      collectTensors(result, tensors);
      for (const auto& tensor : tensors) {
        const SlotId slot = registerTensor(tensor, Slot::Kind::kResult, schema->name());
        auto& entry = program_->slots[slot];
        if (entry.producer < 0 && entry.kind == Slot::Kind::kResult) {
          entry.producer = position;
          entry.viewOf = sharedWith(tensor, arguments);
          // PyTorch leaves some transposed convolutions' results in larger working memory.
          if (isConvolution(schema->name())) entry.bytes = static_cast<int64_t>(tensor.nbytes());
        }
        tainted_.resize(program_->slots.size(), false);
        if (taint) tainted_[slot] = true;
      }
      instruction.results.push_back(treeOf(result, Slot::Kind::kResult));
    }
    if (options_.splitBySizes && cutsByRule(*schema)) splitBySizes(instruction, arguments);
    program_->instructions.push_back(std::move(instruction));
  }

  void onAttributeSet(Node* node, const IValue& value, bool speculative) override {
    if (!speculative) program_->assignments.push_back({node, treeOf(value, Slot::Kind::kConstant)});
    if (speculative || !program_->carriedState.empty() || !isTainted({value})) return;
    const auto& graph = *program_->graph;
    const auto& name = node->s(torch::jit::attr::name);
    const int32_t end = graph.indexOf(node);
    for (int32_t i = 0; i < end; ++i) {
      const Node* earlier = graph.nodes()[i];
      if (earlier->kind() == torch::jit::prim::GetAttr && earlier->s(torch::jit::attr::name) == name &&
          *earlier->input()->type() == *node->inputs()[0]->type()) {
        program_->carriedState = name;
        return;
      }
    }
  }
  void onDecision(Node* node, int64_t value, bool) override {
    if (node->kind() == torch::jit::prim::If) open_.push_back(program_->decisions.size());
    program_->decisions.push_back({.node = node, .value = value});
  }
  void onSpeculationBegin() override {
    marks_.push_back({program_->instructions.size(), program_->decisions.size(), open_.size()});
  }
  void onSpeculationEnd(bool failed, const std::vector<IValue>& outputs) override {
    const auto [instructions, decisions, open] = marks_.back();
    marks_.pop_back();
    open_.resize(open);
    if (failed) {
      program_->instructions.erase(program_->instructions.begin() + static_cast<int64_t>(instructions),
                                   program_->instructions.end());
      program_->decisions.resize(decisions);
    }
    Decision& decision = program_->decisions[decisions - 1];
    decision.first = static_cast<int32_t>(instructions);
    decision.instructions = static_cast<int32_t>(program_->instructions.size() - instructions);
    decision.decisions = static_cast<int32_t>(program_->decisions.size() - decisions);
    decision.other = treesOf(outputs);
  }
  void onJoin(const std::vector<IValue>& outputs) override {
    Decision& decision = program_->decisions[open_.back()];
    open_.pop_back();
    if (!decision.other.empty()) decision.taken = treesOf(outputs);
  }

  std::shared_ptr<Program> finish(const IValue& output) {
    program_->output = treeOf(output, Slot::Kind::kConstant);
    for (size_t i = 0; i < program_->instructions.size(); ++i) {
      const auto& instruction = program_->instructions[i];
      if (instruction.speculative) continue;
      for (const auto& argument : instruction.arguments) markUse(argument, static_cast<int32_t>(i));
    }
    markUse(program_->output, static_cast<int32_t>(program_->instructions.size()));
    return program_;
  }

 private:
  // Makes the instruction one of `aten::split_with_sizes`, where that gives the same pieces.
  void splitBySizes(Instruction& instruction, const std::vector<IValue>& arguments) const {
    const auto dimension = instruction.schema->argumentIndexWithName("dim");
    if (!dimension.has_value() || !arguments[*dimension].isInt() || !instruction.arguments[0].isSlot())
      return;
    const auto& whole = program_->slots[instruction.arguments[0].slot].sizes;
    int64_t dim = arguments[*dimension].toInt();
    if (dim < 0) dim += static_cast<int64_t>(whole.size());
    std::vector<int64_t> sizes;
    int64_t sum = 0;
    for (const auto& piece : instruction.results[0].children) {
      sizes.push_back(program_->slots[piece.slot].sizes[dim]);
      sum += sizes.back();
    }
    if (sum != whole[dim]) return;
    ValueTree sizesTree;
    sizesTree.constant = c10::List<int64_t>(sizes);
    ValueTree dimTree;
    dimTree.constant = dim;
    instruction.operation = splitWithSizes().getOperation();
    instruction.schema = &splitWithSizes().schema();
    instruction.arguments = {instruction.arguments[0], std::move(sizesTree), std::move(dimTree)};
  }

  // The shape that `repeat_interleave` gives follows from no value where its size, or how often, is known.
  bool readsValues(const c10::FunctionSchema& schema, const std::vector<IValue>& arguments) const {
    if (!traitsOf(schema.name()).readsValues) return false;
    const auto size = schema.argumentIndexWithName("output_size");
    if (size.has_value() && !arguments[*size].isNone()) return false;
    const auto repeats = schema.argumentIndexWithName("repeats");
    return !repeats.has_value() || isTainted({arguments[*repeats]});
  }

  void noteSized(const Node* node, const at::Tensor& tensor) {
    const SlotId slot = registerTensor(tensor, Slot::Kind::kConstant, "constant");
    auto& slots = program_->sized[node];
    if (std::find(slots.begin(), slots.end(), slot) == slots.end()) slots.push_back(slot);
  }

  std::vector<ValueTree> treesOf(const std::vector<IValue>& values) {
    std::vector<ValueTree> trees;
    for (const auto& value : values) trees.push_back(treeOf(value, Slot::Kind::kConstant));
    return trees;
  }

  bool isTainted(const std::vector<IValue>& arguments) const {
    std::vector<at::Tensor> tensors;
    for (const auto& argument : arguments) collectTensors(argument, tensors);
    for (const auto& tensor : tensors) {
      const auto found = slotOf_.find(tensor.unsafeGetTensorImpl());
      if (found != slotOf_.end() && static_cast<size_t>(found->second) < tainted_.size() &&
          tainted_[found->second]) {
        return true;
      }
    }
    return false;
  }

  void markAsked(const Node* node, const std::vector<IValue>& arguments) {
    std::vector<at::Tensor> tensors;
    for (const auto& argument : arguments) collectTensors(argument, tensors);
    for (const auto& tensor : tensors) {
      const auto found = slotOf_.find(tensor.unsafeGetTensorImpl());
      if (found == slotOf_.end() || program_->slots[found->second].kind != Slot::Kind::kResult) continue;
      program_->questions.push_back(
          {found->second, node, static_cast<int32_t>(program_->instructions.size())});
    }
  }

  // Told by the memory itself: schemas only say what may be a view.
  SlotId sharedWith(const at::Tensor& tensor, const std::vector<IValue>& arguments) const {
    if (!tensor.has_storage()) return kNoSlot;
    std::vector<at::Tensor> others;
    for (const auto& argument : arguments) collectTensors(argument, others);
    for (const auto& other : others) {
      const auto found = slotOf_.find(other.unsafeGetTensorImpl());
      if (found != slotOf_.end() && other.has_storage() && other.is_alias_of(tensor)) return found->second;
    }
    return kNoSlot;
  }

  // A weak reference keeps the address from being reused by a later tensor, not the tensor's memory.
  SlotId registerTensor(const at::Tensor& tensor, Slot::Kind kind, const std::string& name) {
    const auto found = slotOf_.find(tensor.unsafeGetTensorImpl());
    if (found != slotOf_.end()) return found->second;
    Slot slot;
    slot.kind = kind;
    slot.name = name;
    slot.sizes = tensor.sizes().vec();
    if (tensor.layout() == at::kStrided && !tensor.is_nested()) slot.strides = tensor.strides().vec();
    slot.bytes = tensor.numel() * static_cast<int64_t>(tensor.element_size());
    // An input may be a part of something larger, which is none of the model's business.
    if (kind == Slot::Kind::kResult && tensor.has_storage())
      slot.bytes = static_cast<int64_t>(tensor.storage().nbytes());
    slot.dtype = tensor.scalar_type();
    if (kind == Slot::Kind::kConstant) slot.constant = tensor;
    const auto id = static_cast<SlotId>(program_->slots.size());
    program_->slots.push_back(std::move(slot));
    slotOf_.emplace(tensor.unsafeGetTensorImpl(), id);
    seen_.emplace_back(tensor.getIntrusivePtr());
    return id;
  }

  ValueTree treeOf(const IValue& value, Slot::Kind kindOfUnknown) {
    ValueTree tree;
    if (value.isTensor()) {
      if (!value.toTensor().defined()) {
        tree.constant = value;
        return tree;
      }
      tree.kind = ValueTree::Kind::kSlot;
      tree.slot = registerTensor(value.toTensor(), kindOfUnknown, "constant");
    } else if (value.isList()) {
      std::vector<at::Tensor> tensors;
      collectTensors(value, tensors);
      if (tensors.empty()) {
        // A list may be changed in place later on; the record keeps what it was.
        tree.constant = value.toList().copy();
        return tree;
      }
      tree.kind = ValueTree::Kind::kList;
      tree.type = value.toList().elementType();
      for (const IValue& element : value.toListRef()) tree.children.push_back(treeOf(element, kindOfUnknown));
    } else if (value.isTuple()) {
      tree.kind = ValueTree::Kind::kTuple;
      tree.type = value.type();
      for (const auto& element : value.toTupleRef().elements()) {
        tree.children.push_back(treeOf(element, kindOfUnknown));
      }
    } else if (value.isGenericDict()) {
      tree.kind = ValueTree::Kind::kDict;
      const auto dict = value.toGenericDict();
      tree.type = value.type();
      c10::impl::GenericList keys(dict.keyType());
      for (const auto& entry : dict) {
        keys.push_back(entry.key());
        tree.children.push_back(treeOf(entry.value(), kindOfUnknown));
      }
      tree.constant = keys;
    } else {
      tree.constant = value;
    }
    return tree;
  }

  void markUse(const ValueTree& tree, int32_t position) {
    if (tree.isSlot()) program_->slots[tree.slot].lastUse = position;
    for (const auto& child : tree.children) markUse(child, position);
  }

  RecordOptions options_;
  std::shared_ptr<Program> program_;
  std::unordered_map<const c10::TensorImpl*, SlotId> slotOf_;
  std::vector<c10::weak_intrusive_ptr<c10::TensorImpl, c10::UndefinedTensorImpl>> seen_;
  std::vector<bool> tainted_;
  struct Mark {
    size_t instructions;
    size_t decisions;
    size_t open;
  };
  std::vector<Mark> marks_;   // what there was before each open speculation
  std::vector<size_t> open_;  // decisions of Ifs that have not joined yet
};

}  // namespace

bool producesTensors(const c10::FunctionSchema& schema) {
  for (const auto& result : schema.returns()) {
    if (isTensorLike(result.type())) return true;
  }
  return false;
}

bool cutsByRule(const c10::FunctionSchema& schema) {
  static const std::unordered_set<std::string> names = {"aten::chunk", "aten::unsafe_chunk", "aten::split",
                                                        "aten::unsafe_split", "aten::tensor_split"};
  return names.count(schema.name()) > 0;
}

const torch::jit::Operator& splitWithSizes() {
  static const auto found =
      torch::jit::getAllOperatorsFor(c10::Symbol::fromQualString("aten::split_with_sizes")).at(0);
  return *found;
}

void collectTensors(const IValue& value, std::vector<at::Tensor>& tensors) {
  if (value.isTensor()) {
    if (value.toTensor().defined()) tensors.push_back(value.toTensor());
  } else if (value.isList()) {
    if (value.isIntList() || value.isDoubleList() || value.isBoolList()) return;
    for (const IValue& element : value.toListRef()) collectTensors(element, tensors);
  } else if (value.isTuple()) {
    for (const auto& element : value.toTupleRef().elements()) collectTensors(element, tensors);
  } else if (value.isGenericDict()) {
    for (const auto& entry : value.toGenericDict()) collectTensors(entry.value(), tensors);
  }
}

std::vector<IValue> arrangeInputs(const InlinedGraph& graph, const Inputs& inputs) {
  const auto& schema = graph.module().get_method("forward").function().getSchema();
  std::vector<IValue> arguments = {graph.module()._ivalue()};
  auto bound = bindArguments(schema, inputs);
  requireContract(graph.module(), bound);
  std::move(bound.begin(), bound.end(), std::back_inserter(arguments));
  return arguments;
}

Recording record(std::shared_ptr<InlinedGraph> graph, const Inputs& inputs, const RecordOptions& options,
                 const CancelToken& cancel) {
  const at::NoGradGuard noGrad;
  // Speculation must not consume random numbers that the caller counts on.
  const GeneratorGuard generator;
  const ModuleState state(graph->module());
  auto arguments = arrangeInputs(*graph, inputs);
  Recorder recorder(graph, options);
  recorder.registerInputs(arguments);
  InterpreterOptions interpreterOptions;
  interpreterOptions.speculate = options.speculate;
  Interpreter interpreter(*graph, interpreterOptions, &recorder, cancel);
  try {
    Recording recording;
    recording.output = interpreter.run(std::move(arguments));
    recording.program = recorder.finish(recording.output);
    return recording;
  } catch (const Error&) {
    throw;
  } catch (...) {
    const Failure failure = describeFailure(std::current_exception(), "ERR_FORWARD");
    if (failure.code != "ERR_FORWARD") throw Error(failure.code, failure.message);
    const std::string place = interpreter.current() == nullptr ? "" : placeOf(interpreter.current());
    throw Error("ERR_FORWARD", "The model failed on these inputs" + (place.empty() ? "" : ", " + place) +
                                   ": " + failure.message.substr(0, failure.message.find('\n')) +
                                   " Check their shapes and dtypes.");
  }
}

}  // namespace torchsearch
