#include "core/archive/pickle_tensors.h"

#include <array>
#include <optional>
#include <string>
#include <vector>

namespace torchsearch {
namespace {

constexpr size_t kMaxDimensions = 64;
constexpr int64_t kMaxElements = int64_t{1} << 48;

struct StorageType {
  std::string_view name;
  int64_t itemSize;
  bool quantized;
};

constexpr std::array<StorageType, 18> kStorageTypes{{
    {"torch.ByteStorage", 1, false},
    {"torch.CharStorage", 1, false},
    {"torch.ShortStorage", 2, false},
    {"torch.IntStorage", 4, false},
    {"torch.LongStorage", 8, false},
    {"torch.HalfStorage", 2, false},
    {"torch.FloatStorage", 4, false},
    {"torch.DoubleStorage", 8, false},
    {"torch.BoolStorage", 1, false},
    {"torch.BFloat16Storage", 2, false},
    {"torch.ComplexHalfStorage", 4, false},
    {"torch.ComplexFloatStorage", 8, false},
    {"torch.ComplexDoubleStorage", 16, false},
    {"torch.QInt8Storage", 1, true},
    {"torch.QUInt8Storage", 1, true},
    {"torch.QInt32Storage", 4, true},
    {"torch.QUInt4x2Storage", 1, true},
    {"torch.QUInt2x4Storage", 1, true},
}};

const StorageType* findStorageType(std::string_view name) {
  for (const StorageType& type : kStorageTypes) {
    if (type.name == name) return &type;
  }
  return nullptr;
}

std::vector<int64_t> sizesAt(const PickleMachine& machine, uint32_t argument, size_t index) {
  const char* const kWhat = "a tensor has a size that is not a number";
  const PickledValue& tuple = machine.item(argument, index, PickledKind::kTuple, kWhat);
  if (tuple.items.size() > kMaxDimensions) machine.fail("a tensor has too many dimensions");
  std::vector<int64_t> numbers;
  for (const uint32_t id : tuple.items) {
    if (machine.value(id).kind != PickledKind::kInt) machine.fail(kWhat);
    numbers.push_back(machine.value(id).number);
  }
  return numbers;
}

}  // namespace

bool isStorageType(std::string_view name) {
  return findStorageType(name) != nullptr;
}

// A storage: ("storage", type, key, device, elements).
PickledValue readStorage(PickleMachine& machine, const PickleLimits& limits, uint64_t& spent) {
  const char* const kWhat = "a storage is not described as PyTorch does";
  const uint32_t tuple = machine.pop();
  if (machine.value(tuple).kind != PickledKind::kTuple || machine.value(tuple).items.size() != 5)
    machine.fail(kWhat);
  if (machine.item(tuple, 0, PickledKind::kString, kWhat).text != "storage") machine.fail(kWhat);
  const StorageType* type = findStorageType(machine.item(tuple, 1, PickledKind::kGlobal, kWhat).text);
  if (type == nullptr) machine.fail("a storage is of a type that PyTorch does not have");
  const std::string& key = machine.item(tuple, 2, PickledKind::kString, kWhat).text;
  machine.item(tuple, 3, PickledKind::kString, kWhat);
  const int64_t elements = machine.item(tuple, 4, PickledKind::kInt, kWhat).number;
  if (elements < 0 || elements > kMaxElements) machine.fail("a storage has an impossible size");
  if (elements > 0) {
    if (machine.item(tuple, 3, PickledKind::kString, kWhat).text == "meta")
      machine.fail("storage \"" + key + "\" is on the meta device, which holds no elements");
    const std::optional<uint64_t> bytes = limits.storageSize(key);
    if (!bytes) machine.fail("storage \"" + key + "\" has no record");
    // PyTorch names a storage once, and remembers it; LibTorch reads the record each time.
    spent += *bytes;
    if (spent > limits.storageBytes) machine.fail("it reads its storages over and over");
    if (*bytes < static_cast<uint64_t>(elements * type->itemSize)) {
      machine.fail("the record of storage \"" + key + "\" has " + std::to_string(*bytes) +
                   " bytes where its tensors need " + std::to_string(elements * type->itemSize));
    }
  }
  return {.kind = PickledKind::kStorage, .number = elements, .text = std::string(type->name), .items = {}};
}

void requireTensor(const PickleMachine& machine, uint32_t argument, bool quantized) {
  const char* const kWhat = "a tensor is not described as PyTorch does";
  if (machine.value(argument).kind != PickledKind::kTuple) machine.fail(kWhat);
  const PickledValue& storage = machine.item(argument, 0, PickledKind::kStorage, kWhat);
  if (findStorageType(storage.text)->quantized != quantized) machine.fail(kWhat);
  const int64_t offset = machine.item(argument, 1, PickledKind::kInt, kWhat).number;
  const std::vector<int64_t> shape = sizesAt(machine, argument, 2);
  const std::vector<int64_t> strides = sizesAt(machine, argument, 3);
  if (shape.size() != strides.size() || offset < 0 || offset > storage.number) machine.fail(kWhat);
  bool empty = false;
  int64_t last = offset;
  for (size_t i = 0; i < shape.size(); ++i) {
    if (shape[i] < 0 || shape[i] > kMaxElements || strides[i] < 0 || strides[i] > kMaxElements) {
      machine.fail("a tensor has an impossible shape");
    }
    if (shape[i] == 0) empty = true;
    if (shape[i] > 1 && strides[i] > (kMaxElements - last) / (shape[i] - 1)) {
      machine.fail("a tensor reaches beyond its storage");
    }
    if (shape[i] > 1) last += strides[i] * (shape[i] - 1);
  }
  // Two four-bit or four two-bit numbers share a byte, so these reach less far than this counts.
  const bool packed = storage.text == "torch.QUInt4x2Storage" || storage.text == "torch.QUInt2x4Storage";
  const int64_t perByte = storage.text == "torch.QUInt4x2Storage" ? 2 : 4;
  const int64_t available = packed ? storage.number * perByte : storage.number;
  if (!empty && last >= available) machine.fail("a tensor reaches beyond its storage");
}

}  // namespace torchsearch
