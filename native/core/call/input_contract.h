#pragma once

#include <ATen/core/ivalue.h>
#include <torch/csrc/jit/api/module.h>

#include <cstdint>
#include <vector>

namespace torchsearch {

// Whether a contract may have it as the scale or the offset of a size, so that nothing overflows.
constexpr bool isFactor(int64_t number) {
  constexpr int64_t kLargest = int64_t{1} << 31;
  return number >= -kLargest && number <= kLargest;
}

// An exported program holds for inputs of certain sizes, which its graph takes for granted. The reader keeps
// them in this attribute of the module, where copies and saved files keep them too: a tuple with one entry
// for each argument, nested as the inputs are:
// - ("tensor", dtype, [symbol, least, most, …], [dimension, symbol, scale, offset, least, most, …]): three
// numbers for
//   each dimension; dimensions of one symbol, which is negative where there is none, are equal. The last,
//   which may be left out, has six for each dimension that is scale * symbol + offset, with the range of the
//   symbol
// - ("constant", value)
// - ("items", entry, …), ("fields", key, entry, key, entry, …)
// - ("any",)
inline constexpr const char* kInputContract = "_exported_inputs";

// ERR_INPUT where arguments (without `self`) don't meet the module's contract, or the conditions on sizes
// that the export wrote down (size_guards.h). Modules without one take any.
void requireContract(const torch::jit::Module& module, const std::vector<c10::IValue>& arguments);

}  // namespace torchsearch
