#pragma once

#include <napi.h>

#include <cstdint>
#include <vector>

namespace torchsearch::binding {

// number[] | Int32Array; how many there must be, and which, the core knows.
std::vector<int64_t> readWidths(const Napi::Value& value);

}  // namespace torchsearch::binding
