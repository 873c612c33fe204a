#pragma once

#include <string>
#include <vector>

#include "core/exported/json.h"

namespace torchsearch::exported {

// How values are nested in a program's inputs or outputs, as torch.utils._pytree describes it.
struct Tree {
  enum class Kind : uint8_t { kLeaf, kTuple, kList, kDict };
  Kind kind = Kind::kLeaf;
  std::vector<std::string> keys;  // of a dict, or of an object that has fields by name
  std::vector<Tree> children;
};

// Reads a treespec such as `[1, {"type": …}]`. ERR_EXPORTED_PROGRAM, ERR_UNSUPPORTED_EXPORT
Tree parseTree(const std::string& text);
// Such a text: tuples, lists and dictionaries of Python's own.
std::string writeTree(const Tree& tree);
size_t countLeaves(const Tree& tree);

}  // namespace torchsearch::exported
