#include "core/graph/interpreter.h"

#include <ATen/core/Dict.h>
#include <ATen/core/List.h>
#include <torch/csrc/jit/runtime/operator.h>

#include <algorithm>
#include <utility>

#include "core/base/error.h"
#include "core/graph/operator_traits.h"

namespace torchsearch {

using c10::IValue;
using torch::jit::Block;
using torch::jit::Node;
using torch::jit::Operation;
using torch::jit::Value;
namespace prim = torch::jit::prim;
namespace attr = torch::jit::attr;
namespace aten = torch::jit::aten;

namespace {

// A branch that was not taken may hold a loop whose end its stand-in values never reach.
constexpr int64_t kMaxSpeculativeIterations = 64;

IValue constructList(const Node* node, std::vector<IValue> elements) {
  const auto type = node->output()->type()->expectRef<c10::ListType>().getElementType();
  c10::impl::GenericList list(type);
  list.reserve(elements.size());
  for (auto& element : elements) list.push_back(std::move(element));
  return list;
}

IValue constructDict(const Node* node, const std::vector<IValue>& items) {
  const auto& type = node->output()->type()->expectRef<c10::DictType>();
  c10::impl::GenericDict dict(type.getKeyType(), type.getValueType());
  for (size_t i = 0; i + 1 < items.size(); i += 2) dict.insert_or_assign(items[i], items[i + 1]);
  return dict;
}

IValue constructTuple(const Node* node, std::vector<IValue> elements) {
  const auto type = node->output()->type()->cast<c10::TupleType>();
  if (type && type->name()) return c10::ivalue::Tuple::createNamed(std::move(elements), type);
  return c10::ivalue::Tuple::create(std::move(elements));
}

bool isInstance(const Node* node, const IValue& value) {
  const auto dynamic = value.type();
  for (const auto& candidate : node->tys(attr::types)) {
    if (dynamic->isSubtypeOf(*candidate)) return true;
  }
  return false;
}

IValue createObject(const Node* node) {
  const auto type = node->output()->type()->expect<c10::ClassType>();
  return c10::ivalue::Object::create(c10::StrongTypePtr(type->compilation_unit(), type),
                                     type->numAttributes());
}

std::string unsupported(const Node* node) {
  return "The model's forward uses '" + std::string(node->kind().toQualString()) +
         "', for which this LibTorch registers no operator. Load the library that defines it, or replace the "
         "call in the model.";
}

}  // namespace

Interpreter::Interpreter(const InlinedGraph& graph, const InterpreterOptions& options,
                         InterpreterObserver* observer, CancelToken cancel)
    : graph_(graph), options_(options), observer_(observer), cancel_(std::move(cancel)) {}

IValue Interpreter::run(std::vector<IValue> inputs) {
  values_.assign(graph_.valueCount(), IValue());
  const auto graphInputs = graph_.graph().inputs();
  TORCH_CHECK(inputs.size() == graphInputs.size(), "expected ", graphInputs.size(), " inputs, got ",
              inputs.size());
  for (size_t i = 0; i < inputs.size(); ++i) value(graphInputs[i]) = std::move(inputs[i]);
  runBlock(graph_.graph().block());
  const auto outputs = graph_.graph().outputs();
  IValue result;
  if (outputs.size() == 1) {
    result = value(outputs[0]);
  } else {
    std::vector<IValue> elements;
    for (const Value* output : outputs) elements.push_back(value(output));
    result = c10::ivalue::Tuple::create(std::move(elements));
  }
  values_.clear();
  return result;
}

void Interpreter::runBlock(Block* block) {
  for (Node* node : block->nodes()) {
    cancel_.throwIfCancelled();
    runNode(node);
    for (const Value* released : graph_.releasedAfter(node)) value(released) = IValue();
  }
}

Interpreter::Values Interpreter::inputsOf(Node* node) {
  Values inputs;
  inputs.reserve(node->inputs().size());
  for (const Value* input : node->inputs()) inputs.push_back(value(input));
  return inputs;
}

void Interpreter::runNode(Node* node) {
  current_ = node;
  switch (node->kind()) {
    case prim::Constant:
      value(node->output()) = torch::jit::toIValue(node->output()).value_or(IValue());
      return;
    case prim::GetAttr:
      value(node->output()) = value(node->input()).toObjectRef().getAttr(node->s(attr::name));
      return;
    case prim::SetAttr:
      if (speculationDepth_ == 0)
        value(node->inputs()[0]).toObject()->setAttr(node->s(attr::name), value(node->inputs()[1]));
      if (observer_ != nullptr)
        observer_->onAttributeSet(node, value(node->inputs()[1]), speculationDepth_ > 0);
      return;
    case prim::If:
      return runIf(node);
    case prim::Loop:
      return runLoop(node);
    case prim::ListConstruct:
      value(node->output()) = constructList(node, inputsOf(node));
      return;
    case prim::DictConstruct:
      value(node->output()) = constructDict(node, inputsOf(node));
      return;
    case prim::TupleConstruct:
      value(node->output()) = constructTuple(node, inputsOf(node));
      return;
    case prim::TupleUnpack: {
      const auto elements = value(node->input()).toTupleRef().elements().vec();
      for (size_t i = 0; i < node->outputs().size(); ++i) value(node->outputs()[i]) = elements.at(i);
      return;
    }
    case prim::ListUnpack: {
      const auto elements = value(node->input()).toListRef().vec();
      TORCH_CHECK(elements.size() == node->outputs().size(), "expected ", node->outputs().size(),
                  " elements in a list but found ", elements.size());
      for (size_t i = 0; i < elements.size(); ++i) value(node->outputs()[i]) = elements[i];
      return;
    }
    case prim::Uninitialized:
      value(node->output()) = IValue();
      return;
    case prim::unchecked_cast:
      value(node->output()) = value(node->input());
      return;
    case prim::isinstance:
      value(node->output()) = isInstance(node, value(node->input()));
      return;
    case prim::CreateObject:
      value(node->output()) = createObject(node);
      return;
    case prim::RaiseException:
      TORCH_CHECK(false, value(node->inputs()[0]).isString() ? value(node->inputs()[0]).toStringRef()
                                                             : std::string("the model raised an exception"));
    case aten::warn:
    case prim::Print:
      return;
    default:
      return runOperator(node);
  }
}

void Interpreter::runIf(Node* node) {
  const bool taken = decide(node, value(node->inputs()[0]).toBool() ? 1 : 0) != 0;
  const bool constant = node->inputs()[0]->node()->kind() == prim::Constant;
  if (options_.speculate && !constant && (options_.guide == nullptr || options_.guide->speculatesAt(node))) {
    speculate(node->blocks()[taken ? 1 : 0]);
  }
  Block* block = node->blocks()[taken ? 0 : 1];
  runBlock(block);
  Values outputs;
  for (const Value* output : block->outputs()) outputs.push_back(value(output));
  releaseOutputs(block);
  if (observer_ != nullptr) observer_->onJoin(outputs);
  for (size_t i = 0; i < outputs.size(); ++i) value(node->outputs()[i]) = std::move(outputs[i]);
}

int64_t Interpreter::decide(Node* node, int64_t value) {
  if (options_.guide != nullptr) value = options_.guide->decide(node, value);
  if (observer_ != nullptr) observer_->onDecision(node, value, speculationDepth_ > 0);
  return value;
}

void Interpreter::releaseOutputs(Block* block) {
  for (const Value* output : block->outputs()) {
    if (output->node()->owningBlock() == block) value(output) = IValue();
  }
}

void Interpreter::speculate(Block* block) {
  bool failed = false;
  const size_t written = written_.size();
  const size_t outer = std::exchange(speculationBegin_, written);
  ++speculationDepth_;
  if (observer_ != nullptr) observer_->onSpeculationBegin();
  try {
    runBlock(block);
  } catch (const Error&) {
    restoreContainers(written);
    speculationBegin_ = outer;
    --speculationDepth_;
    throw;
  } catch (const std::exception&) {
    failed = true;
  }
  Values outputs;
  if (!failed) {
    for (const Value* output : block->outputs()) outputs.push_back(value(output));
  }
  releaseOutputs(block);
  if (observer_ != nullptr) observer_->onSpeculationEnd(failed, outputs);
  restoreContainers(written);
  speculationBegin_ = outer;
  --speculationDepth_;
}

void Interpreter::runLoop(Node* node) {
  int64_t maxTrips = decide(node, value(node->inputs()[0]).toInt());
  bool condition = value(node->inputs()[1]).toBool();
  if (speculationDepth_ > 0) maxTrips = std::min(maxTrips, kMaxSpeculativeIterations);
  Block* block = node->blocks()[0];
  Values carried;
  for (size_t i = 2; i < node->inputs().size(); ++i) carried.push_back(value(node->inputs()[i]));
  for (int64_t trip = 0; trip < maxTrips && condition; ++trip) {
    value(block->inputs()[0]) = trip;
    for (size_t i = 0; i < carried.size(); ++i) value(block->inputs()[i + 1]) = std::move(carried[i]);
    runBlock(block);
    condition = value(block->outputs()[0]).toBool();
    for (size_t i = 0; i < carried.size(); ++i) carried[i] = value(block->outputs()[i + 1]);
  }
  for (size_t i = 0; i < carried.size(); ++i) value(node->outputs()[i]) = std::move(carried[i]);
}

void Interpreter::restoreContainers(size_t count) {
  for (; written_.size() > count; written_.pop_back()) {
    const auto& [container, content] = written_.back();
    if (container.isList()) {
      auto list = container.toList();
      list.clear();
      for (const IValue& element : content.toListRef()) list.push_back(element);
    } else {
      auto dict = container.toGenericDict();
      dict.clear();
      for (const auto& entry : content.toGenericDict()) dict.insert(entry.key(), entry.value());
    }
  }
}

void Interpreter::guardWrites(const c10::FunctionSchema& schema, Values& arguments) {
  for (size_t i = 0; i < arguments.size() && i < schema.arguments().size(); ++i) {
    const auto& argument = schema.arguments()[i];
    const bool written = argument.alias_info() != nullptr && argument.alias_info()->isWrite();
    if (!written && !isRunningStatistic(schema, argument)) continue;
    if (arguments[i].isTensor() && arguments[i].toTensor().defined()) {
      arguments[i] = arguments[i].toTensor().clone();
      continue;
    }
    // What it held when the speculation began is kept once, however often it is written.
    const auto begin = written_.begin() + static_cast<std::ptrdiff_t>(speculationBegin_);
    const bool known =
        std::any_of(begin, written_.end(), [&](const auto& each) { return each.first.is(arguments[i]); });
    if (known) continue;
    if (arguments[i].isList()) {
      written_.emplace_back(arguments[i], arguments[i].toList().copy());
    } else if (arguments[i].isGenericDict()) {
      written_.emplace_back(arguments[i], arguments[i].toGenericDict().copy());
    }
  }
}

void Interpreter::runOperator(Node* node) {
  auto found = operations_.find(node);
  if (found == operations_.end()) {
    if (node->maybeOperator() == nullptr) throw Error("ERR_UNKNOWN_OPERATOR", unsupported(node));
    found = operations_.emplace(node, node->getOperation()).first;
  }
  const c10::FunctionSchema* schema = node->maybeSchema();
  Values arguments = inputsOf(node);
  Operation* operation = &found->second;
  if (options_.guide != nullptr) {
    Operation* other = options_.guide->beforeOperator(node, *operation, arguments);
    if (other != nullptr) operation = other;
  }
  torch::jit::Stack stack = arguments;
  if (schema != nullptr && speculationDepth_ > 0) guardWrites(*schema, stack);
  // `prim::tolist` counts as variadic, and takes three arguments all the same.
  const bool counted = schema != nullptr && schema->is_vararg() && node->kind() != prim::tolist;
  if (counted) stack.emplace_back(static_cast<int64_t>(arguments.size()));
  (*operation)(stack);
  TORCH_CHECK(stack.size() == node->outputs().size(), node->kind().toQualString(), " left ", stack.size(),
              " values on the stack, expected ", node->outputs().size());
  for (size_t i = 0; i < stack.size(); ++i) value(node->outputs()[i]) = stack[i];
  if (observer_ != nullptr) {
    observer_->onOperator(node, *operation, arguments, stack, speculationDepth_ > 0);
  }
}

}  // namespace torchsearch
