#pragma once

#include <ATen/ATen.h>

#include <cstdint>

namespace torchsearch::exported {

// The numbers that a program's JSON has for these (torch/_export/serde/schema.py), which are not c10's.
// ERR_EXPORTED_PROGRAM for one that doesn't exist, ERR_UNSUPPORTED_EXPORT for a layout that isn't strided.
at::ScalarType scalarTypeOf(int64_t number);
// The other way. ERR_EXPORTED_WRITE for a dtype that a program has no number for.
int64_t numberOf(at::ScalarType type);
int64_t numberOf(at::MemoryFormat format);
inline constexpr int64_t kStridedLayout = 7;
at::Layout layoutOf(int64_t number);
at::MemoryFormat memoryFormatOf(int64_t number);

}  // namespace torchsearch::exported
