#include "core/archive/static_nesting.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>

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

// Of a type: how many types it is made of, and how deeply they lie.
struct Extent {
  uint64_t parts = 1;
  uint64_t depth = 1;
};

class TypeGrowth {
 public:
  // False as soon as a type is too large.
  bool visit(const TreeRef& statement) {
    switch (statement->kind()) {
      case TK_ASSIGN: {
        const Assign assign(statement);
        if (!assign.rhs().present()) return true;
        const Extent extent = extentOf(assign.rhs().get().tree());
        for (const Expr& target : assign.lhs_list()) define(target.tree(), extent);
        return isSmall(extent);
      }
      case TK_LIST:
      case TK_IF:
      case TK_FOR:
      case TK_WHILE:
      case TK_WITH:
        return std::all_of(statement->trees().begin(), statement->trees().end(),
                           [this](const TreeRef& inner) { return visit(inner); });
      default:
        return isSmall(extentOf(statement));
    }
  }

 private:
  static bool isSmall(const Extent& extent) { return extent.parts <= kMaxParts && extent.depth <= kMaxDepth; }

  void define(const TreeRef& target, const Extent& extent) {
    if (target->kind() == TK_VAR) {
      extents_[Var(target).name().name()] = extent;
      return;
    }
    for (const TreeRef& inner : target->trees()) define(inner, extent);
  }

  Extent extentOf(const TreeRef& tree) {
    if (tree->kind() == TK_VAR) {
      const auto found = extents_.find(Var(tree).name().name());
      return found == extents_.end() ? Extent{} : found->second;
    }
    if (tree->kind() == TK_TUPLE_LITERAL) {
      Extent tuple;
      for (const Expr& item : TupleLiteral(tree).inputs()) {
        const Extent part = extentOf(item.tree());
        tuple.parts = std::min(kMaxParts + 1, tuple.parts + part.parts);
        tuple.depth = std::max(tuple.depth, part.depth + 1);
      }
      return tuple;
    }
    if (tree->kind() == TK_APPLY && !passesTypesOn(Apply(tree))) return {};
    Extent largest;
    for (const TreeRef& inner : tree->trees()) {
      const Extent part = extentOf(inner);
      largest.parts = std::max(largest.parts, part.parts);
      largest.depth = std::max(largest.depth, part.depth);
    }
    if (tree->kind() == TK_APPLY || tree->kind() == TK_LIST_LITERAL || tree->kind() == TK_DICT_LITERAL) {
      largest.parts += 2;
      ++largest.depth;
    }
    return largest;
  }

  std::unordered_map<std::string, Extent> extents_;
};

}  // namespace

bool hasSmallTypes(const Def& function) {
  TypeGrowth growth;
  return growth.visit(function.statements().tree());
}

}  // namespace torchsearch
