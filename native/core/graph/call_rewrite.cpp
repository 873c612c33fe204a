#include "core/graph/call_rewrite.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <string>

#include "core/base/error.h"

namespace torchsearch {

using c10::IValue;
using torch::jit::Graph;
using torch::jit::Node;
using torch::jit::Value;
namespace prim = torch::jit::prim;
namespace aten = torch::jit::aten;

namespace {

using Varies = std::function<bool(const Value*)>;

bool isNumber(const IValue& value) {
  return value.isInt() || value.isDouble() || value.isBool();
}

double numberOf(const IValue& value) {
  if (value.isBool()) return value.toBool() ? 1.0 : 0.0;
  return value.isInt() ? static_cast<double>(value.toInt()) : value.toDouble();
}

[[noreturn]] void conflict(const Node* node) {
  throw Error("ERR_EXPORT_CONFLICT",
              "One call of '" + std::string(node->kind().toQualString()) +
                  "' runs several times with sizes that differ in the subnet. Unroll the loop around it.");
}

// One argument, or one element of it, at every run of its node.
struct Change {
  enum class Kind : uint8_t { kNone, kConstant, kInferred, kScaled };
  Kind kind = Kind::kNone;
  IValue constant;        // kConstant
  int64_t numerator = 1;  // kScaled, of integers
  int64_t denominator = 1;
};

bool allWanted(const std::vector<std::pair<IValue, IValue>>& observations) {
  return std::all_of(observations.begin(), observations.end(),
                     [&](const auto& o) { return sameValue(o.second, observations.front().second); });
}

// A common factor between what is computed and what is wanted. It follows a batch size inside a product.
bool findScale(const std::vector<std::pair<IValue, IValue>>& observations, Change& change) {
  for (const auto& [actual, wanted] : observations) {
    if (!actual.isInt() || !wanted.isInt() || actual.toInt() <= 0 || wanted.toInt() <= 0) return false;
  }
  const int64_t divisor = std::gcd(observations[0].first.toInt(), observations[0].second.toInt());
  change.numerator = observations[0].second.toInt() / divisor;
  change.denominator = observations[0].first.toInt() / divisor;
  for (const auto& [actual, wanted] : observations) {
    if (actual.toInt() * change.numerator != wanted.toInt() * change.denominator) return false;
  }
  change.kind = Change::Kind::kScaled;
  return true;
}

Change resolve(const Node* node, const std::vector<std::pair<IValue, IValue>>& observations, bool varies,
               bool mayInfer, bool mayScale) {
  Change change;
  if (std::all_of(observations.begin(), observations.end(),
                  [](const auto& o) { return sameValue(o.first, o.second); })) {
    return change;
  }
  const bool one = allWanted(observations);
  if (one && !varies) {
    change.kind = Change::Kind::kConstant;
  } else if (mayInfer) {
    change.kind = Change::Kind::kInferred;
  } else if (!mayScale || !findScale(observations, change)) {
    if (!one) conflict(node);
    change.kind = Change::Kind::kConstant;
  }
  if (change.kind == Change::Kind::kConstant) change.constant = observations.front().second;
  return change;
}

// Whether -1 stands for "whatever is left" in this list.
bool acceptsInferred(const Node* node, int32_t argument) {
  const auto* schema = node->maybeSchema();
  if (schema == nullptr) return false;
  const std::string& name = schema->name();
  const std::string& parameter = schema->arguments()[argument].name();
  return (name == "aten::view" && parameter == "size") ||
         (name == "aten::_unsafe_view" && parameter == "size") ||
         (name == "aten::reshape" && parameter == "shape") ||
         (name == "aten::unflatten" && parameter == "sizes");
}

// A constant in the place of an element. One that is moved to the right device first, as traces do, still is.
Value* exchanged(Graph& graph, Value* before, const IValue& element) {
  Node* mover = before->node();
  if (mover->kind() != aten::to || before->uses().size() > 1) return graph.insertConstant(element);
  const torch::jit::WithInsertPoint insertBefore(mover);
  mover->replaceInput(0, graph.insertConstant(element));
  return before;
}

// A list of tensors and gaps, as indices are, is no constant itself.
Value* inserted(Graph& graph, Value* before, const IValue& value) {
  if (!value.isList() || value.isIntList() || value.isDoubleList() || value.isBoolList()) {
    return graph.insertConstant(value);
  }
  const auto elements = value.toListRef();
  Node* list = before->node();
  const bool isOwn = list->kind() == prim::ListConstruct && list->inputs().size() == elements.size();
  std::vector<Value*> values;
  for (size_t k = 0; k < elements.size(); ++k) {
    const bool isTensor = isOwn && elements[k].isTensor();
    values.push_back(isTensor ? exchanged(graph, list->inputs()[k], elements[k])
                              : graph.insertConstant(elements[k]));
  }
  return graph.insertNode(graph.createList(value.toList().elementType(), values))->output();
}

Value* changed(Graph& graph, Value* before, const Change& change) {
  switch (change.kind) {
    case Change::Kind::kNone:
      return before;
    case Change::Kind::kConstant:
      return inserted(graph, before, change.constant);
    case Change::Kind::kInferred:
      return graph.insertConstant(int64_t{-1});
    case Change::Kind::kScaled: {
      Value* product = change.numerator == 1 ? before : graph.insert(aten::mul, {before, change.numerator});
      return change.denominator == 1 ? product : graph.insert(aten::floordiv, {product, change.denominator});
    }
  }
  return before;
}

// Whether a list holds at every use what it was made with.
bool isFresh(const Value* list) {
  return std::all_of(list->uses().begin(), list->uses().end(), [](const torch::jit::Use& use) {
    const auto* schema = use.user->maybeSchema();
    if (schema == nullptr || use.offset >= schema->arguments().size()) return false;
    const auto* alias = schema->arguments()[use.offset].alias_info();
    return alias == nullptr || !alias->isWrite();
  });
}

// The elements of a list where it is used, each as a value of its own.
std::vector<Value*> elementsOf(Graph& graph, Value* list, size_t count) {
  Node* source = list->node();
  if (source->kind() == prim::ListConstruct && isFresh(list) && source->inputs().size() == count) {
    return source->inputs().vec();
  }
  std::vector<Value*> elements;
  const auto constant = torch::jit::toIValue(list);
  for (size_t k = 0; k < count; ++k) {
    if (constant.has_value() && constant->isIntList()) {
      elements.push_back(graph.insertConstant(constant->toIntVector().at(k)));
    } else {
      elements.push_back(graph.insert(aten::__getitem__, {list, static_cast<int64_t>(k)}));
    }
  }
  return elements;
}

Value* listOf(Graph& graph, const std::vector<Value*>& elements) {
  std::vector<int64_t> constants;
  for (const Value* element : elements) {
    const auto constant = torch::jit::toIValue(element);
    if (constant.has_value() && constant->isInt()) constants.push_back(constant->toInt());
  }
  if (constants.size() == elements.size()) return graph.insertConstant(constants);
  return graph.insertNode(graph.createList(c10::IntType::get(), elements))->output();
}

}  // namespace

bool sameValue(const IValue& a, const IValue& b) {
  if (isNumber(a) && isNumber(b)) {
    const double x = numberOf(a);
    const double y = numberOf(b);
    return x == y || (std::isnan(x) && std::isnan(y));
  }
  if (a.isNone() || b.isNone()) return a.isNone() == b.isNone();
  if (a.isIntList() && b.isIntList()) return a.toIntVector() == b.toIntVector();
  if (a.isDoubleList() && b.isDoubleList()) return a.toDoubleVector() == b.toDoubleVector();
  if (a.isBoolList() && b.isBoolList()) return a.toBoolList() == b.toBoolList();
  if (a.isString() && b.isString()) return a.toStringRef() == b.toStringRef();
  if (a.isTensor() && b.isTensor() && a.toTensor().defined() && b.toTensor().defined()) {
    return a.toTensor().scalar_type() == b.toTensor().scalar_type() && at::equal(a.toTensor(), b.toTensor());
  }
  if (a.isList() && b.isList()) {
    const auto x = a.toListRef();
    const auto y = b.toListRef();
    return std::equal(x.begin(), x.end(), y.begin(), y.end(), sameValue);
  }
  return true;
}

CallRewrite::Call& CallRewrite::callOf(Node* node) {
  const auto [found, added] = callOf_.try_emplace(node, calls_.size());
  if (added) calls_.push_back({node, {}, {}});
  return calls_[found->second];
}

void CallRewrite::observe(Node* node, int32_t argument, int32_t element, const IValue& actual,
                          const IValue& wanted) {
  auto& observations = callOf(node).arguments[argument][element];
  for (const auto& [a, w] : observations) {
    if (sameValue(a, actual) && sameValue(w, wanted)) return;
  }
  observations.emplace_back(actual, wanted);
}

void CallRewrite::observePieces(Node* node, int64_t dimension, const std::vector<int64_t>& actual,
                                const std::vector<int64_t>& wanted) {
  auto& pieces = callOf(node).pieces;
  if (pieces.empty()) pieces.push_back({dimension, true, {}});
  pieces[0].agree = pieces[0].agree && actual == wanted;
  auto& seen = pieces[0].wanted;
  if (std::find(seen.begin(), seen.end(), wanted) == seen.end()) seen.push_back(wanted);
}

void CallRewrite::apply(const Varies& varies) {
  for (const auto& call : calls_) {
    const torch::jit::WithInsertPoint insertBefore(call.node);
    for (const auto& [argument, elements] : call.arguments) rewriteArgument(call, argument, elements, varies);
    // Last: it replaces the node.
    rewritePieces(call);
  }
  calls_.clear();
  callOf_.clear();
}

void CallRewrite::rewriteArgument(const Call& call, int32_t argument,
                                  const std::map<int32_t, Observations>& elements, const Varies& varies) {
  Node* node = call.node;
  Graph& graph = *node->owningGraph();
  Value* before = node->inputs()[argument];
  if (elements.count(kWhole) > 0) {
    const bool integer = before->type()->kind() == c10::TypeKind::IntType;
    const auto change = resolve(node, elements.at(kWhole), varies(before), false, integer);
    if (change.kind == Change::Kind::kNone) return;
    if (elements.size() > 1) conflict(node);
    node->replaceInput(argument, changed(graph, before, change));
    return;
  }
  bool mayInfer = acceptsInferred(node, argument);
  for (const auto& [element, observations] : elements) {
    for (const auto& [actual, wanted] : observations) mayInfer = mayInfer && wanted.toInt() > 0;
  }
  std::vector<Change> changes;
  const Node* source = before->node();
  const bool construct = source->kind() == prim::ListConstruct && source->inputs().size() == elements.size();
  for (const auto& [element, observations] : elements) {
    const bool elementVaries = varies(construct ? source->inputs()[element] : before);
    changes.push_back(resolve(node, observations, elementVaries, mayInfer, true));
    if (changes.back().kind == Change::Kind::kInferred) mayInfer = false;
  }
  if (std::all_of(changes.begin(), changes.end(),
                  [](const Change& change) { return change.kind == Change::Kind::kNone; })) {
    return;
  }
  auto values = elementsOf(graph, before, changes.size());
  for (size_t k = 0; k < changes.size(); ++k) values[k] = changed(graph, values[k], changes[k]);
  node->replaceInput(argument, listOf(graph, values));
}

void CallRewrite::rewritePieces(const Call& call) {
  if (call.pieces.empty() || call.pieces[0].agree) return;
  const Pieces& pieces = call.pieces[0];
  if (pieces.wanted.size() > 1) conflict(call.node);
  Graph& graph = *call.node->owningGraph();
  const bool unsafe = std::string(call.node->kind().toQualString()).find("unsafe_") != std::string::npos;
  const auto symbol =
      c10::Symbol::fromQualString(unsafe ? "aten::unsafe_split_with_sizes" : "aten::split_with_sizes");
  Value* list = graph.insertConstant(pieces.wanted[0]);
  Value* result = graph.insert(symbol, {call.node->inputs()[0], list, pieces.dimension});
  call.node->output()->replaceAllUsesWith(result);
  call.node->destroy();
}

}  // namespace torchsearch
