#include "core/archive/static_nesting.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace torchsearch {
namespace {

using namespace torch::jit;

constexpr uint64_t kMaxParts = 20000;
constexpr uint64_t kMaxDepth = 100;
const std::string kNothing;

// What gives a type that is made of its arguments' types. All else gives what it declares, such as a tensor.
constexpr std::array<std::string_view, 19> kPassOn{"annotate",
                                                   "unchecked_cast",
                                                   "unchecked_unwrap_optional",
                                                   "list",
                                                   "dict",
                                                   "tuple",
                                                   "items",
                                                   "values",
                                                   "keys",
                                                   "popitem",
                                                   "pop",
                                                   "get",
                                                   "setdefault",
                                                   "zip",
                                                   "copy",
                                                   "enumerate",
                                                   "sorted",
                                                   "__getitem__",
                                                   "reversed"};

bool passesTypesOn(const Apply& call) {
  const TreeRef& callee = call.callee().tree();
  const std::string& name = callee->kind() == TK_VAR ? Var(callee).name().name()
                            : callee->kind() == '.'  ? Select(callee).selector().name()
                                                     : kNothing;
  return std::find(kPassOn.begin(), kPassOn.end(), name) != kPassOn.end();
}

// What a value's type is made of.
struct Made {
  uint64_t parts = 1;  // types
  uint64_t depth = 1;
  std::vector<std::shared_ptr<const Made>> items;  // of a tuple
};
using MadePtr = std::shared_ptr<const Made>;

class TypeGrowth {
 public:
  // False as soon as a type is too large.
  bool visit(const TreeRef& statement) {
    switch (statement->kind()) {
      case TK_ASSIGN: {
        const Assign assign(statement);
        if (!assign.rhs().present()) return true;
        const MadePtr made = madeOf(assign.rhs().get().tree());
        for (const Expr& target : assign.lhs_list()) define(target.tree(), made);
        return isSmall(*made);
      }
      case TK_LIST:
      case TK_IF:
      case TK_FOR:
      case TK_WHILE:
      case TK_WITH:
        return std::all_of(statement->trees().begin(), statement->trees().end(),
                           [this](const TreeRef& inner) { return visit(inner); });
      default:
        return isSmall(*madeOf(statement));
    }
  }

 private:
  static bool isSmall(const Made& made) { return made.parts <= kMaxParts && made.depth <= kMaxDepth; }

  void define(const TreeRef& target, const MadePtr& made) {
    if (target->kind() == TK_VAR) {
      variables_[Var(target).name().name()] = made;
      return;
    }
    if (target->kind() != TK_TUPLE_LITERAL) return;  // an attribute or an element, whose type is declared
    const auto targets = TupleLiteral(target).inputs();
    for (size_t i = 0; i < targets.size(); ++i) {
      // What is no known tuple is a call's result or a list: its items are no larger than itself.
      define(targets[i].tree(), targets.size() == made->items.size() ? made->items[i] : made);
    }
  }

  MadePtr madeOf(const TreeRef& tree) {
    if (tree->kind() == TK_VAR) {
      const auto found = variables_.find(Var(tree).name().name());
      return found == variables_.end() ? simple_ : found->second;
    }
    if (tree->kind() == TK_TUPLE_LITERAL) {
      auto tuple = std::make_shared<Made>();
      for (const Expr& item : TupleLiteral(tree).inputs()) {
        tuple->items.push_back(madeOf(item.tree()));
        tuple->parts = std::min(kMaxParts + 1, tuple->parts + tuple->items.back()->parts);
        tuple->depth = std::max(tuple->depth, tuple->items.back()->depth + 1);
      }
      return tuple;
    }
    if (tree->kind() == TK_APPLY && !passesTypesOn(Apply(tree))) return simple_;
    MadePtr largest = simple_;
    for (const TreeRef& inner : tree->trees()) {
      const MadePtr part = madeOf(inner);
      if (part->parts > largest->parts || part->depth > largest->depth) largest = part;
    }
    if (tree->kind() != TK_APPLY && tree->kind() != TK_LIST_LITERAL && tree->kind() != TK_DICT_LITERAL)
      return largest;
    auto container = std::make_shared<Made>();
    container->parts = largest->parts + 2;
    container->depth = largest->depth + 1;
    return container;
  }

  const MadePtr simple_ = std::make_shared<Made>();
  std::unordered_map<std::string, MadePtr> variables_;
};

}  // namespace

bool hasSmallTypes(const Def& function) {
  TypeGrowth growth;
  return growth.visit(function.statements().tree());
}

}  // namespace torchsearch
