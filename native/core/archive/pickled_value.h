#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace torchsearch {

enum class PickledKind : uint8_t {
  kNone,
  kBool,
  kInt,
  kFloat,
  kString,
  kTuple,
  kList,
  kDict,
  kGlobal,
  kStorage,
  kTensor,
  kObject,
  kOther
};

struct PickledValue {
  PickledKind kind = PickledKind::kNone;
  int64_t number = 0;  // of an int; elements of a storage
  // Of a string; "module.name" of a global; the type of a storage; of a list of numbers, what built it.
  std::string text;
  std::vector<uint32_t> items;  // of a tuple, list, dict or object: positions in `PickledTree::values`
};

// What a pickle holds, without anything of it made.
struct PickledTree {
  std::vector<PickledValue> values;
  uint32_t root = 0;
};

}  // namespace torchsearch
