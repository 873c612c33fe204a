#pragma once

#include <ATen/core/ivalue.h>

#include <string>
#include <unordered_map>
#include <vector>

namespace torchsearch {

using Kwargs = std::unordered_map<std::string, c10::IValue>;

// Positional and keyword arguments of one call of `forward`, without `self`.
struct Inputs {
  std::vector<c10::IValue> args;
  Kwargs kwargs;
};

// The same inputs in memory of their own: a forward may write into them.
Inputs copied(const Inputs& inputs);

}  // namespace torchsearch
