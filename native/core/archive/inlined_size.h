#pragma once

#include <torch/script.h>

#include <cstdint>

namespace torchsearch {

// Instructions of the largest function of a compilation unit once every call is replaced by what it calls,
// as LibTorch does before it runs a method. Forty methods that each call the next one twice take a few
// kilobytes in a file, and 2^40 instructions then. At most UINT64_MAX.
uint64_t largestInlinedSize(const torch::jit::CompilationUnit& unit);

}  // namespace torchsearch
