#pragma once

#include <string>
#include <vector>

#include "core/graph/rules/rule.h"

namespace torchsearch {

// Operators that tie channels alike, as docs/operators.md lists them.
struct RuleFamily {
  std::string title;
  std::string description;
  RuleFn rule = nullptr;
  std::string names;        // of `aten` operators, without the prefix, apart by spaces
  bool givesList = false;   // the first result is a list of tensors
  bool hasInPlace = false;  // the same names with a trailing underscore belong here too
};

// Every rule there is. What is not listed keeps whole what passes through it.
const std::vector<RuleFamily>& ruleFamilies();

}  // namespace torchsearch
