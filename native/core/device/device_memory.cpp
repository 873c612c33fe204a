#include "core/device/device_memory.h"

#include <c10/core/CachingDeviceAllocator.h>

namespace torchsearch {

namespace {

// Null where nothing was allocated yet, or the device's allocator keeps no account.
c10::DeviceAllocator* accountantOf(c10::Device device) {
  if (device.is_cpu()) return nullptr;
  auto* allocator = dynamic_cast<c10::DeviceAllocator*>(c10::GetAllocator(device.type()));
  return allocator != nullptr && allocator->initialized() ? allocator : nullptr;
}

}  // namespace

std::optional<DeviceMemory> deviceMemory(c10::Device device) {
  if (device.is_cpu()) return std::nullopt;
  DeviceMemory memory;
  if (auto* allocator = accountantOf(device)) {
    constexpr auto kAll = static_cast<size_t>(c10::CachingAllocator::StatType::AGGREGATE);
    const auto stats = allocator->getDeviceStats(device.index());
    memory.allocated = stats.allocated_bytes[kAll].current;
    memory.peakAllocated = stats.allocated_bytes[kAll].peak;
    memory.reserved = stats.reserved_bytes[kAll].current;
    memory.peakReserved = stats.reserved_bytes[kAll].peak;
  }
  return memory;
}

void resetDeviceMemoryPeak(c10::Device device) {
  if (auto* allocator = accountantOf(device)) allocator->resetPeakStats(device.index());
}

}  // namespace torchsearch
