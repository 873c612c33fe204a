#pragma once

#include <cstdint>

namespace torchsearch {

// What a subnet may cost.
enum class Metric : uint8_t {
  kParams,
  kMacs,
  kFlops,    // two a multiply-add
  kSize,     // bytes of parameters and buffers
  kMemory,   // bytes at the peak of a forward
  kLatency,  // milliseconds
};

}  // namespace torchsearch
