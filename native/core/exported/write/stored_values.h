#pragma once

#include <ATen/ATen.h>

#include <string>
#include <vector>

#include "core/exported/json.h"

namespace torchsearch::exported {

// A tensor that a written program holds.
struct StoredValue {
  enum class Kind : uint8_t { kParameter, kBuffer, kConstant };
  Kind kind = Kind::kParameter;
  std::string path;   // dotted
  std::string name;   // of the graph's input
  at::Tensor tensor;  // on the CPU
  bool persistent = true;

  // Weights and constants lie in folders of their own.
  bool isWeight() const { return kind == Kind::kParameter || (kind == Kind::kBuffer && persistent); }
};

// What metadata says of a tensor; `sizes` and `strides` as the program writes numbers.
Json tensorMeta(at::ScalarType type, Json sizes, Json strides, bool requiresGrad);
// The same of a tensor as it will be stored: contiguous.
Json tensorMeta(const at::Tensor& tensor, bool requiresGrad);

}  // namespace torchsearch::exported
