#include "core/graph/container_attributes.h"

#include <functional>
#include <map>
#include <optional>
#include <tuple>
#include <unordered_map>
#include <utility>
#include <vector>

#include "core/graph/module_paths.h"

namespace torchsearch {

using c10::IValue;
using torch::jit::Block;
using torch::jit::Graph;
using torch::jit::Module;
using torch::jit::Node;
using torch::jit::Value;
namespace prim = torch::jit::prim;
namespace attr = torch::jit::attr;

namespace {

// Paths of parameters and buffers, by the tensor itself and by the memory that it shows: once a file was
// loaded, a list may hold another tensor over a parameter's memory.
class NamedTensors {
 public:
  explicit NamedTensors(const Module& module) {
    for (const auto& item : module.named_parameters()) add(item.name, item.value);
    for (const auto& item : module.named_buffers()) add(item.name, item.value);
  }

  const std::string* nameOf(const at::Tensor& tensor) const {
    if (!tensor.defined()) return nullptr;
    const auto same = byTensor_.find(tensor.unsafeGetTensorImpl());
    if (same != byTensor_.end()) return &same->second;
    const auto memory = memoryOf(tensor);
    if (!memory) return nullptr;
    const auto shared = byMemory_.find(*memory);
    return shared == byMemory_.end() ? nullptr : &shared->second;
  }

  // How many of the tensors in a container have a name, and how many have none.
  std::pair<size_t, size_t> count(const IValue& value) const {
    std::pair<size_t, size_t> total = {0, 0};
    const auto add = [&](const IValue& element) {
      const auto [named, other] = count(element);
      total.first += named;
      total.second += other;
    };
    if (value.isTensor()) {
      const bool isNamed = nameOf(value.toTensor()) != nullptr;
      return {isNamed ? 1 : 0, isNamed ? 0 : 1};
    }
    if (value.isList()) {
      if (value.isIntList() || value.isDoubleList() || value.isBoolList()) return total;
      for (const IValue& element : value.toListRef()) add(element);
    } else if (value.isTuple()) {
      for (const IValue& element : value.toTupleRef().elements()) add(element);
    } else if (value.isGenericDict()) {
      for (const auto& entry : value.toGenericDict()) add(entry.value());
    } else if (!value.isNone()) {
      ++total.second;
    }
    return total;
  }

 private:
  using Memory = std::tuple<const void*, std::vector<int64_t>, std::vector<int64_t>, at::ScalarType>;

  static std::optional<Memory> memoryOf(const at::Tensor& tensor) {
    if (tensor.layout() != at::kStrided || tensor.numel() == 0) return std::nullopt;
    return Memory(tensor.const_data_ptr(), tensor.sizes().vec(), tensor.strides().vec(),
                  tensor.scalar_type());
  }

  void add(const std::string& name, const at::Tensor& tensor) {
    if (!tensor.defined()) return;
    byTensor_.emplace(tensor.unsafeGetTensorImpl(), name);
    if (const auto memory = memoryOf(tensor)) byMemory_.emplace(*memory, name);
  }

  std::unordered_map<const c10::TensorImpl*, std::string> byTensor_;
  std::map<Memory, std::string> byMemory_;
};

bool isContainer(const IValue& value) {
  return value.isTuple() || value.isGenericDict() || (value.isList() && !value.isIntList());
}

// The attribute at a dotted path.
std::optional<IValue> attributeAt(const Module& module, const std::string& path) {
  IValue value = module._ivalue();
  for (size_t begin = 0; begin <= path.size();) {
    const size_t end = std::min(path.find('.', begin), path.size());
    const std::string name = path.substr(begin, end - begin);
    if (!value.isObject() || !value.toObjectRef().type()->hasAttribute(name)) return std::nullopt;
    value = value.toObjectRef().getAttr(name);
    begin = end + 1;
  }
  return value;
}

class Reading {
 public:
  Reading(const Module& module, Graph& graph)
      : module_(module), graph_(graph), paths_(graph), tensors_(module) {
    findAssigned(graph.block());
  }

  void run() { visit(graph_.block()); }

 private:
  void findAssigned(Block* block) {
    for (Node* node : block->nodes()) {
      for (Block* inner : node->blocks()) findAssigned(inner);
      if (node->kind() != prim::SetAttr) continue;
      if (const auto path = paths_.attributeOf(node)) assigned_.insert(*path);
    }
  }

  void visit(Block* block) {
    for (auto it = block->nodes().begin(); it != block->nodes().end();) {
      Node* node = *it++;
      for (Block* inner : node->blocks()) visit(inner);
      if (node->kind() == prim::GetAttr) replace(node);
    }
  }

  void replace(Node* node) {
    const auto path = paths_.attributeOf(node);
    if (!path || assigned_.count(*path) > 0 || isWritten(node->output())) return;
    const auto container = attributeAt(module_, *path);
    if (!container || !isContainer(*container) || tensors_.count(*container).first == 0) return;
    const torch::jit::WithInsertPoint insertAfter(node->next());
    Value* own = node->output();
    Value* made = build(*container, own->type(), [own] { return own; });
    if (made == own) return;
    made->setType(own->type());
    const auto uses = own->uses();
    for (const auto& use : uses) {
      if (reads_.count(use.user) == 0) use.user->replaceInput(use.offset, made);
    }
    if (!own->hasUses()) node->destroy();
  }

  static bool isWritten(const Value* value) {
    for (const auto& use : value->uses()) {
      const auto* schema = use.user->maybeSchema();
      if (schema == nullptr || use.offset >= schema->arguments().size()) continue;
      const auto* alias = schema->arguments()[use.offset].alias_info();
      if (alias != nullptr && alias->isWrite()) return true;
    }
    return false;
  }

  // The value, made of the parameters in it; `original` gives it as the module holds it.
  Value* build(const IValue& value, const c10::TypePtr& declared, const std::function<Value*()>& original) {
    if (value.isTensor()) {
      const std::string* name = tensors_.nameOf(value.toTensor());
      return name == nullptr ? original() : read(*name);
    }
    if (tensors_.count(value).first == 0) return original();
    const auto optional = declared->cast<c10::OptionalType>();
    const c10::TypePtr type = optional ? optional->getElementType() : declared;
    if (value.isList()) return buildList(value, type, original);
    if (value.isTuple()) return buildTuple(value, type, original);
    return buildDict(value, type, original);
  }

  Value* buildList(const IValue& value, const c10::TypePtr& type, const std::function<Value*()>& original) {
    const auto element = type->expectRef<c10::ListType>().getElementType();
    std::vector<Value*> values;
    const auto elements = value.toListRef();
    for (size_t i = 0; i < elements.size(); ++i) {
      values.push_back(build(elements[i], element, [&] {
        return item(original(), graph_.insertConstant(static_cast<int64_t>(i)), element);
      }));
    }
    return graph_.insertNode(graph_.createList(element, values))->output();
  }

  Value* buildDict(const IValue& value, const c10::TypePtr& type, const std::function<Value*()>& original) {
    const auto& dict = type->expectRef<c10::DictType>();
    std::vector<Value*> keys;
    std::vector<Value*> values;
    for (const auto& entry : value.toGenericDict()) {
      Value* key = graph_.insertConstant(entry.key());
      keys.push_back(key);
      values.push_back(build(entry.value(), dict.getValueType(),
                             [&] { return item(original(), key, dict.getValueType()); }));
    }
    return graph_.insertNode(graph_.createDict(dict.getKeyType(), dict.getValueType(), keys, values))
        ->output();
  }

  Value* buildTuple(const IValue& value, const c10::TypePtr& type, const std::function<Value*()>& original) {
    const auto tuple = type->expect<c10::TupleType>();
    std::vector<Value*> values;
    const auto& elements = value.toTupleRef().elements();
    for (size_t i = 0; i < elements.size(); ++i) {
      const auto element = tuple->elements()[i];
      values.push_back(build(elements[i], element, [&] {
        Value* index = graph_.insertConstant(static_cast<int64_t>(i));
        Node* node = graph_.insertNode(graph_.createTupleIndex(original(), index, element));
        reads_.insert(node);
        return node->output();
      }));
    }
    return graph_.insertNode(graph_.createTuple(values, tuple->name() ? tuple : nullptr))->output();
  }

  Value* item(Value* container, Value* key, const c10::TypePtr& type) {
    Node* node = graph_.create(torch::jit::aten::__getitem__, {container, key});
    node->output()->setType(type);
    graph_.insertNode(node);
    reads_.insert(node);
    return node->output();
  }

  // The parameter at a dotted path, read from the module itself.
  Value* read(const std::string& path) {
    Value* value = graph_.inputs()[0];
    for (size_t begin = 0; begin <= path.size();) {
      const size_t end = std::min(path.find('.', begin), path.size());
      value = graph_.insertGetAttr(value, path.substr(begin, end - begin));
      begin = end + 1;
    }
    return value;
  }

  const Module& module_;
  Graph& graph_;
  ModulePaths paths_;
  NamedTensors tensors_;
  std::set<std::string> assigned_;
  std::set<const Node*> reads_;  // of what has no name, from the containers themselves
};

void findContainers(const Module& module, const NamedTensors& tensors, const std::string& path,
                    std::set<std::string>& found) {
  const auto type = module.type();
  for (size_t i = 0; i < type->numAttributes(); ++i) {
    const std::string name = childPath(path, type->getAttributeName(i));
    const IValue value = module._ivalue()->getSlot(i);
    if (value.isModule()) {
      findContainers(value.toModule(), tensors, name, found);
    } else if (isContainer(value)) {
      const auto [named, other] = tensors.count(value);
      if (named > 0 && other == 0) found.insert(name);
    }
  }
}

}  // namespace

void readThroughContainers(const Module& module, Graph& graph) {
  Reading(module, graph).run();
}

std::set<std::string> parameterContainers(const Module& module) {
  std::set<std::string> found;
  findContainers(module, NamedTensors(module), "", found);
  return found;
}

}  // namespace torchsearch
