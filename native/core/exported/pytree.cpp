#include "core/exported/pytree.h"

#include <algorithm>

namespace torchsearch::exported {
namespace {

constexpr int64_t kProtocol = 1;

// A node's context is JSON in a text, or JSON itself.
Json contextOf(const Json& node) {
  const Json& context = field(node, "context");
  return context.is_string() ? parseJson(textOf(context), "a treespec") : context;
}

// The keys of a dict: ["a", "b"]; a defaultdict's and some classes' stand beside something else.
std::vector<std::string> keysOf(const Json& context, size_t count) {
  const auto isKeys = [&](const Json& value) {
    return value.is_array() && value.size() == count &&
           std::all_of(value.begin(), value.end(), [](const Json& key) { return key.is_string(); });
  };
  const Json* keys = isKeys(context) ? &context : nullptr;
  if (keys == nullptr && context.is_array()) {
    for (const Json& item : context) {
      if (isKeys(item)) keys = &item;
    }
  }
  std::vector<std::string> names;
  if (keys == nullptr) return names;
  for (const Json& key : *keys) names.push_back(textOf(key));
  return names;
}

Tree readNode(const Json& node) {
  Tree tree;
  const Json& type = field(node, "type");
  if (type.is_null()) return tree;
  for (const Json& child : arrayOf(field(node, "children_spec"))) tree.children.push_back(readNode(child));
  const std::string& name = textOf(type);
  tree.kind = name == "builtins.list" ? Tree::Kind::kList : Tree::Kind::kTuple;
  if (name == "builtins.tuple" || name == "builtins.list") return tree;
  tree.keys = keysOf(contextOf(node), tree.children.size());
  const bool dict =
      name == "builtins.dict" || name == "collections.OrderedDict" || name == "collections.defaultdict";
  if (dict && tree.keys.size() != tree.children.size()) {
    refuseFeature("a dictionary with keys that are no texts among its inputs or outputs",
                  "use texts as keys and export again.");
  }
  if (!tree.children.empty() && tree.keys.size() == tree.children.size()) tree.kind = Tree::Kind::kDict;
  if (dict) tree.kind = Tree::Kind::kDict;
  return tree;
}

Json writeNode(const Tree& tree) {
  if (tree.kind == Tree::Kind::kLeaf)
    return {{"type", nullptr}, {"context", nullptr}, {"children_spec", Json::array()}};
  Json children = Json::array();
  for (const Tree& child : tree.children) children.push_back(writeNode(child));
  const bool dict = tree.kind == Tree::Kind::kDict;
  return {{"type", dict                             ? "builtins.dict"
                   : tree.kind == Tree::Kind::kList ? "builtins.list"
                                                    : "builtins.tuple"},
          {"context", dict ? Json(tree.keys).dump() : "null"},
          {"children_spec", std::move(children)}};
}

}  // namespace

std::string writeTree(const Tree& tree) {
  return Json::array({kProtocol, writeNode(tree)}).dump();
}

size_t countLeaves(const Tree& tree) {
  if (tree.kind == Tree::Kind::kLeaf) return 1;
  size_t count = 0;
  for (const Tree& child : tree.children) count += countLeaves(child);
  return count;
}

Tree parseTree(const std::string& text) {
  const Json spec = parseJson(text, "a treespec");
  if (arrayOf(spec).size() != 2 || intOf(spec[0]) != kProtocol) refuseProgram("a treespec has no protocol");
  return readNode(spec[1]);
}

}  // namespace torchsearch::exported
