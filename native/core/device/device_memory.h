#pragma once

#include <c10/core/Device.h>

#include <cstdint>
#include <optional>

namespace torchsearch {

// Bytes of a device's memory, by LibTorch's caching allocator: tensors (`allocated`), and what the allocator
// holds for them and later ones (`reserved`). Peaks count from resetDeviceMemoryPeak(), or from the start.
struct DeviceMemory {
  int64_t allocated = 0;
  int64_t peakAllocated = 0;
  int64_t reserved = 0;
  int64_t peakReserved = 0;
};

// None for the CPU, whose allocator keeps no account.
std::optional<DeviceMemory> deviceMemory(c10::Device device);
void resetDeviceMemoryPeak(c10::Device device);

}  // namespace torchsearch
