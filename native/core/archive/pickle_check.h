#pragma once

#include <cstdint>
#include <functional>
#include <limits>
#include <optional>
#include <string>
#include <string_view>

#include "core/archive/pickled_value.h"

namespace torchsearch {

// What a pickle of a model may rely on.
struct PickleLimits {
  // Bytes of the record that holds a storage, by the storage's key; nothing when there is no such record.
  std::function<std::optional<uint64_t>(const std::string& key)> storageSize;
  // The most bytes of records that all storages together may be read from: those of the archive.
  uint64_t storageBytes = std::numeric_limits<uint64_t>::max();
  // Whether objects of a class may be made, by its qualified name.
  std::function<bool(const std::string& name)> allowsClass;
};

// Walks a pickle as LibTorch's unpickler would, without making anything of it, and refuses what that reader
// trusts blindly: storages longer than their records, tensors that reach beyond their storages, an operand of
// another kind than the instruction takes, memo slots that would take all memory, values nested too deeply or
// repeated too often, and sparse tensors, whose indices it does not check. Every class that is named goes
// through `allowsClass`.
//
// Gives what the pickle holds. `name` is the record's, for messages. ERR_NOT_TORCHSCRIPT; ERR_UNKNOWN_CLASS
// for a class that is not allowed.
PickledTree checkPickle(std::string_view pickle, const std::string& name, const PickleLimits& limits);

}  // namespace torchsearch
