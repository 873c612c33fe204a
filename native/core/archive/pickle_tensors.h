#pragma once

#include <cstdint>
#include <string_view>

#include "core/archive/pickle_check.h"
#include "core/archive/pickle_machine.h"

namespace torchsearch {

// Whether a name is that of a storage's type, such as "torch.FloatStorage".
bool isStorageType(std::string_view name);

// Takes the description of a storage from the stack, and refuses one that is longer than its record. `spent`
// counts the bytes of the records that the pickle has read.
PickledValue readStorage(PickleMachine& machine, const PickleLimits& limits, uint64_t& spent);

// Refuses the arguments of a tensor that reaches beyond its storage.
void requireTensor(const PickleMachine& machine, uint32_t argument, bool quantized);

}  // namespace torchsearch
