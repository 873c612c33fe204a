#include "core/exported/input_tree.h"

#include <algorithm>
#include <cctype>
#include <limits>
#include <utility>

#include "core/exported/scalar_types.h"
#include "core/exported/size_line.h"

namespace torchsearch::exported {

using c10::IValue;
using c10::TypePtr;
using torch::jit::Node;
using torch::jit::Value;

namespace {

constexpr int64_t kMost = std::numeric_limits<int64_t>::max();
constexpr int64_t kNoSymbol = -1;
// The export takes sizes of 0 and 1 for others, and lets them in all the same.
constexpr int64_t kLeastExported = 2;

bool alike(const std::vector<TypePtr>& types) {
  return std::all_of(types.begin(), types.end(), [&](const TypePtr& type) { return *type == *types[0]; });
}

// The type of a container of these.
TypePtr containerType(const Tree& tree, const std::vector<TypePtr>& types) {
  if (tree.kind == Tree::Kind::kDict) {
    const TypePtr held = types.empty()  ? TypePtr(c10::TensorType::get())
                         : alike(types) ? types[0]
                                        : TypePtr(c10::AnyType::get());
    return c10::DictType::create(c10::StringType::get(), held);
  }
  if (tree.kind == Tree::Kind::kList && !types.empty() && alike(types))
    return c10::ListType::create(types[0]);
  return c10::TupleType::create(types);
}

IValue tupleOf(std::vector<IValue> items) {
  return c10::ivalue::Tuple::create(std::move(items));
}

IValue constantOf(const Json& value) {
  const auto [kind, constant] = memberOf(value);
  if (kind == "as_none") return {};
  if (kind == "as_int") return intOf(constant);
  if (kind == "as_float") return floatOf(constant);
  if (kind == "as_bool") return boolOf(constant);
  if (kind == "as_string") return textOf(constant);
  refuseFeature("an input of the kind \"" + kind + "\"", "give the model tensors, numbers and texts.");
}

TypePtr constantType(const IValue& constant) {
  if (constant.isInt()) return c10::IntType::get();
  if (constant.isDouble()) return c10::FloatType::get();
  if (constant.isBool()) return c10::BoolType::get();
  if (constant.isString()) return c10::StringType::get();
  return c10::OptionalType::ofTensor();
}

}  // namespace

InputTree::InputTree(GraphContext& context, const Json& program, std::vector<const Json*> leaves)
    : context_(context),
      ranges_(objectOf(field(program, "range_constraints"))),
      tensors_(objectOf(field(field(field(program, "graph_module"), "graph"), "tensor_values"))),
      leaves_(std::move(leaves)) {}

const Json& InputTree::leaf(size_t index) const {
  if (index >= leaves_.size()) refuseProgram("its inputs are nested in another way than it says");
  return *leaves_[index];
}

InputTree::Argument InputTree::describe(const Tree& tree) {
  if (tree.kind == Tree::Kind::kLeaf) return describeLeaf(leaf(described_++));
  std::vector<TypePtr> types;
  const bool fields = tree.kind == Tree::Kind::kDict;
  std::vector<IValue> contract{std::string(fields ? "fields" : "items")};
  for (size_t i = 0; i < tree.children.size(); ++i) {
    Argument inner = describe(tree.children[i]);
    types.push_back(inner.type);
    if (fields) contract.emplace_back(tree.keys[i]);
    contract.push_back(std::move(inner.contract));
  }
  const bool mixed = fields && !types.empty() && !alike(types);
  return {mixed ? recordType(tree, types) : containerType(tree, types), tupleOf(std::move(contract)),
          std::nullopt};
}

// A dictionary of values of several kinds, which TorchScript's dictionaries can't be: a tuple with names.
c10::TypePtr InputTree::recordType(const Tree& tree, const std::vector<c10::TypePtr>& types) {
  for (const std::string& key : tree.keys) {
    const bool sound = !key.empty() && std::isdigit(static_cast<unsigned char>(key[0])) == 0 &&
                       std::all_of(key.begin(), key.end(), [](char c) {
                         return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_';
                       });
    if (!sound || std::count(tree.keys.begin(), tree.keys.end(), key) > 1) {
      refuseFeature("an input that is a dictionary with values of several kinds and the key \"" + key + "\"",
                    "use names as its keys, and export again.");
    }
  }
  const c10::QualifiedName name("__torch__.exported.Record" + std::to_string(records_++));
  return c10::TupleType::createNamed(name, tree.keys, types);
}

InputTree::Argument InputTree::describeLeaf(const Json& spec) {
  const auto [kind, value] = memberOf(spec);
  const IValue any = tupleOf({std::string("any")});
  if (kind == "user_input") {
    const auto [form, argument] = memberOf(field(value, "arg"));
    if (form == "as_tensor")
      return {c10::TensorType::get(), tensorContract(textOf(field(argument, "name"))), std::nullopt};
    if (form == "as_sym_int") return {c10::IntType::get(), any, std::nullopt};
    if (form == "as_sym_float") return {c10::FloatType::get(), any, std::nullopt};
    if (form == "as_sym_bool") return {c10::BoolType::get(), any, std::nullopt};
  }
  IValue constant = constantOf(kind == "user_input" ? field(value, "arg") : field(value, "value"));
  const TypePtr type = constantType(constant);
  return {type, tupleOf({std::string("constant"), constant}), constant};
}

IValue InputTree::tensorContract(const std::string& name) {
  const Json& meta = field(tensors_, name.c_str());
  std::vector<int64_t> numbers;
  std::vector<int64_t> lines;
  for (const Json& size : arrayOf(field(meta, "sizes"))) {
    const auto dimension = static_cast<int64_t>(numbers.size() / 3);
    const std::vector<int64_t> range = sizeRange(size, dimension, lines);
    numbers.insert(numbers.end(), range.begin(), range.end());
  }
  const auto type = static_cast<int64_t>(scalarTypeOf(intOf(field(meta, "dtype"))));
  std::vector<IValue> parts{std::string("tensor"), type, c10::List<int64_t>(numbers)};
  if (!lines.empty()) parts.emplace_back(c10::List<int64_t>(lines));
  return tupleOf(std::move(parts));
}

std::vector<int64_t> InputTree::sizeRange(const Json& size, int64_t dimension, std::vector<int64_t>& lines) {
  const auto [kind, value] = memberOf(size);
  if (kind == "as_int") return {kNoSymbol, intOf(value), intOf(value)};
  const auto line = readSizeLine(textOf(field(value, "expr_str")));
  if (!line) return {kNoSymbol, 0, kMost};
  const std::string& symbol = line->symbol;
  const int64_t number = symbols_.emplace(symbol, static_cast<int64_t>(symbols_.size())).first->second;
  int64_t least = 0;
  int64_t most = kMost;
  if (const Json* range = findField(ranges_, symbol.c_str())) {
    const Json& low = field(*range, "min_val");
    const Json& high = field(*range, "max_val");
    if (!low.is_null()) least = intOf(low) > kLeastExported ? intOf(low) : 0;
    if (!high.is_null()) most = intOf(high);
  }
  if (line->scale != 1 || line->offset != 0) {
    lines.insert(lines.end(), {dimension, number, line->scale, line->offset, least, most});
    return {kNoSymbol, 0, kMost};
  }
  return {number, least, most};
}

std::vector<std::string> InputTree::symbols() const {
  std::vector<std::string> names(symbols_.size());
  for (const auto& [name, number] : symbols_) names.at(static_cast<size_t>(number)) = name;
  return names;
}

void InputTree::unpack(Value* value, const Tree& tree, Names& names) {
  torch::jit::Graph& graph = context_.graph;
  if (tree.kind == Tree::Kind::kLeaf) {
    const auto [kind, spec] = memberOf(leaf(unpacked_++));
    if (kind == "user_input") names.setArgument(field(spec, "arg"), value);
    // A constant stands in the graph wherever it is used.
    return;
  }
  const size_t count = tree.children.size();
  if (const auto dict = value->type()->cast<c10::DictType>()) {
    for (size_t i = 0; i < count; ++i) {
      Value* key = graph.insertConstant(tree.keys[i]);
      unpack(graph.insert(torch::jit::aten::__getitem__, {value, key}), tree.children[i], names);
    }
    return;
  }
  const bool list = value->type()->kind() == c10::TypeKind::ListType;
  Node* unpacked =
      graph.insertNode(list ? graph.createListUnpack(value, count) : graph.createTupleUnpack(value));
  for (size_t i = 0; i < count; ++i) unpack(unpacked->outputs()[i], tree.children[i], names);
}

namespace {

Value* pack(torch::jit::Graph& graph, const Tree& tree, const std::vector<Value*>& leaves, size_t& next) {
  if (tree.kind == Tree::Kind::kLeaf) {
    if (next >= leaves.size()) refuseProgram("its outputs are nested in another way than it says");
    return leaves[next++];
  }
  std::vector<Value*> items;
  std::vector<TypePtr> types;
  for (const Tree& child : tree.children) {
    items.push_back(pack(graph, child, leaves, next));
    types.push_back(items.back()->type());
  }
  const TypePtr type = containerType(tree, types);
  if (const auto dict = type->cast<c10::DictType>()) {
    std::vector<Value*> keys;
    for (const std::string& key : tree.keys) keys.push_back(graph.insertConstant(key));
    return graph.insertNode(graph.createDict(dict->getKeyType(), dict->getValueType(), keys, items))
        ->output();
  }
  if (const auto list = type->cast<c10::ListType>())
    return graph.insertNode(graph.createList(list->getElementType(), items))->output();
  return graph.insertNode(graph.createTuple(items))->output();
}

}  // namespace

Value* packOutputs(GraphContext& context, const Tree& tree, const std::vector<Value*>& leaves) {
  size_t next = 0;
  Value* packed = pack(context.graph, tree, leaves, next);
  if (next != leaves.size()) refuseProgram("its outputs are nested in another way than it says");
  return packed;
}

}  // namespace torchsearch::exported
