#pragma once

#include <ATen/core/ivalue.h>

#include <cstdint>

namespace torchsearch {

// Replaces one whole argument of one instruction: a size that is smaller in a subnet than it was when
// recorded.
struct ArgumentOverride {
  int32_t instruction = 0;
  int32_t argument = 0;  // position in the operator's schema
  c10::IValue value;
};

}  // namespace torchsearch
