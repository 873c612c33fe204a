#include "core/exported/write/input_writer.h"

#include <algorithm>
#include <array>
#include <utility>

#include "core/graph/recorder.h"

namespace torchsearch::exported {

using c10::IValue;

namespace {

// What a node of the tree holds, in its order.
std::vector<IValue> childrenOf(const Tree& tree, const IValue& value) {
  if (value.isTuple()) return value.toTupleRef().elements().vec();
  if (value.isList()) {
    std::vector<IValue> items;
    for (const IValue& item : value.toListRef()) items.push_back(item);
    return items;
  }
  std::vector<IValue> items;
  if (value.isGenericDict()) {
    const auto dict = value.toGenericDict();
    for (const std::string& key : tree.keys) {
      const auto found = dict.find(key);
      if (found != dict.end()) items.push_back(found->value());
    }
  }
  return items;
}

IValue sampleOf(const Tree& tree, const IValue& value) {
  if (tree.kind == Tree::Kind::kLeaf) return value;
  std::vector<IValue> items = childrenOf(tree, value);
  for (size_t i = 0; i < items.size(); ++i) items[i] = sampleOf(tree.children.at(i), items[i]);
  if (tree.kind == Tree::Kind::kTuple) return c10::ivalue::Tuple::create(std::move(items));
  if (tree.kind == Tree::Kind::kList) {
    c10::impl::GenericList list(c10::AnyType::get());
    for (IValue& item : items) list.push_back(std::move(item));
    return list;
  }
  c10::impl::GenericDict dict(c10::StringType::get(), c10::AnyType::get());
  for (size_t i = 0; i < items.size(); ++i) dict.insert(tree.keys.at(i), items[i]);
  return dict;
}

}  // namespace

Tree treeOf(const IValue& value) {
  Tree tree;
  if (value.isTuple()) {
    tree.kind = Tree::Kind::kTuple;
    for (const IValue& item : value.toTupleRef().elements()) tree.children.push_back(treeOf(item));
  } else if (value.isList()) {
    tree.kind = Tree::Kind::kList;
    for (const IValue& item : value.toListRef()) tree.children.push_back(treeOf(item));
  } else if (value.isGenericDict()) {
    tree.kind = Tree::Kind::kDict;
    for (const auto& item : value.toGenericDict()) {
      if (!item.key().isString())
        refuseWriting("a dictionary whose keys are no texts", "Save it as TorchScript.");
      tree.keys.push_back(item.key().toStringRef());
      tree.children.push_back(treeOf(item.value()));
    }
  }
  return tree;
}

InputWriter::InputWriter(const ShapeProbes& probes, const torch::jit::Module& module, const Inputs& example,
                         const Json& origin, WrittenNames& names)
    : probes_(probes), names_(names) {
  for (const IValue& argument : probes.arguments()) collectTensors(argument, tensors_);
  const auto& schema = module.get_method("forward").function().getSchema();
  const auto& arguments = probes.arguments();
  const Json* spec = findField(origin, "in_spec");
  if (spec != nullptr) {
    treeText_ = textOf(*spec);
    tree_ = parseTree(treeText_);
    for (size_t i = 0; i < arguments.size(); ++i) chosen_.push_back(i);
    for (const Json& name : origin.value("inputs", Json::array())) given_.push_back(textOf(name));
  } else {
    tree_.kind = Tree::Kind::kTuple;
    tree_.children.resize(2);
    tree_.children[0].kind = Tree::Kind::kTuple;
    tree_.children[1].kind = Tree::Kind::kDict;
    for (size_t i = 0; i < arguments.size(); ++i) {
      const std::string& name = schema.arguments().at(i + 1).name();
      const bool positional = i < example.args.size();
      if (!positional && example.kwargs.count(name) == 0) continue;
      chosen_.push_back(i);
      tree_.children[positional ? 0 : 1].children.push_back(treeOf(arguments[i]));
      if (!positional) tree_.children[1].keys.push_back(name);
    }
    treeText_ = writeTree(tree_);
  }
  size_t next = 0;
  for (const Tree& part : tree_.children) {
    for (const Tree& argument : part.children) {
      const size_t index = chosen_.at(next++);
      const std::string& name = schema.arguments().at(index + 1).name();
      argumentNames_.push_back(name);
      flatten(argument, arguments.at(index), name);
    }
  }
  if (const Json* own = findField(origin, "forward_arg_names")) argumentNames_ = *own;
}

void InputWriter::flatten(const Tree& tree, const IValue& value, const std::string& name) {
  if (tree.kind != Tree::Kind::kLeaf) {
    const std::vector<IValue> items = childrenOf(tree, value);
    if (items.size() != tree.children.size())
      refuseWriting("an input that is nested in another way than its export's", "Export the model again.");
    for (size_t i = 0; i < items.size(); ++i) {
      const std::string part = i < tree.keys.size() ? tree.keys[i] : std::to_string(i);
      flatten(tree.children[i], items[i], name + "_" + part);
    }
    return;
  }
  const bool known = leaves_.size() < given_.size() && !given_[leaves_.size()].empty();
  Leaf leaf{names_.unique(known ? given_[leaves_.size()] : name), value, std::nullopt};
  if (value.isTensor() && value.toTensor().defined()) {
    const auto found = std::find_if(tensors_.begin(), tensors_.end(), [&](const at::Tensor& tensor) {
      return tensor.is_same(value.toTensor());
    });
    leaf.tensor = static_cast<size_t>(found - tensors_.begin());
  }
  leaves_.push_back(std::move(leaf));
}

std::vector<std::string> InputWriter::tensorNames() const {
  std::vector<std::string> names(tensors_.size());
  for (const Leaf& leaf : leaves_) {
    if (leaf.tensor) names.at(*leaf.tensor) = leaf.name;
  }
  return names;
}

IValue InputWriter::samples() const {
  size_t next = 0;
  std::array<IValue, 2> parts;
  for (size_t p = 0; p < 2; ++p) {
    std::vector<IValue> items;
    c10::impl::GenericDict keywords(c10::StringType::get(), c10::AnyType::get());
    for (size_t i = 0; i < tree_.children[p].children.size(); ++i, ++next) {
      const IValue item = sampleOf(tree_.children[p].children[i], probes_.arguments().at(chosen_[next]));
      if (p == 0) {
        items.push_back(item);
      } else {
        keywords.insert(tree_.children[1].keys.at(i), item);
      }
    }
    parts[p] = p == 0 ? IValue(c10::ivalue::Tuple::create(std::move(items))) : IValue(keywords);
  }
  return c10::ivalue::Tuple::create({parts[0], parts[1]});
}

}  // namespace torchsearch::exported
