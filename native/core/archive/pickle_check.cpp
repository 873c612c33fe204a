#include "core/archive/pickle_check.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>
#include <vector>

#include "core/base/error.h"

namespace torchsearch {
namespace {

// Deeper than any model nests its modules, and shallow enough for a destructor that calls itself.
constexpr uint32_t kMaxValueDepth = 1000;
constexpr size_t kMaxDimensions = 64;
constexpr size_t kMaxTypeDepth = 64;
constexpr int64_t kMaxElements = int64_t{1} << 48;

using Kind = PickledKind;

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

constexpr std::array<std::string_view, 5> kQuantizerNames{
    "torch.per_tensor_affine", "torch.per_channel_affine", "torch.per_tensor_symmetric",
    "torch.per_channel_symmetric", "torch.per_channel_affine_float_qparams"};

constexpr std::array<std::string_view, 4> kListBuilders{
    "torch.jit._pickle.build_intlist", "torch.jit._pickle.build_tensorlist",
    "torch.jit._pickle.build_doublelist", "torch.jit._pickle.build_boollist"};

template <size_t N>
bool isOneOf(const std::array<std::string_view, N>& names, std::string_view name) {
  for (const std::string_view known : names) {
    if (known == name) return true;
  }
  return false;
}

const StorageType* findStorageType(std::string_view name) {
  for (const StorageType& type : kStorageTypes) {
    if (type.name == name) return &type;
  }
  return nullptr;
}

class PickleWalk {
 public:
  PickleWalk(std::string_view bytes, const std::string& name, const PickleLimits& limits)
      : bytes_(bytes), name_(name), limits_(limits) {}

  PickledTree run() {
    if (byte() != 0x80 || byte() != 2) fail("it is not a pickle of protocol 2");
    while (step()) {
    }
    if (stack_.size() != 1 || !marks_.empty()) fail("it leaves more than one value");
    checkDepth();
    return {std::move(values_), stack_.front()};
  }

 private:
  [[noreturn]] void fail(const std::string& why) const {
    throw Error("ERR_NOT_TORCHSCRIPT", "The record \"" + name_ + "\" is damaged or hostile: " + why +
                                           " (byte " + std::to_string(at_) + "); save the model again.");
  }

  // --- reading ---
  std::string_view take(size_t size) {
    if (size > bytes_.size() - at_) fail("it is cut off");
    const std::string_view part = bytes_.substr(at_, size);
    at_ += size;
    return part;
  }
  uint8_t byte() { return static_cast<uint8_t>(take(1)[0]); }
  template <class T>
  T number() {
    const std::string_view part = take(sizeof(T));
    uint64_t value = 0;
    for (size_t i = sizeof(T); i > 0; --i) value = (value << 8) | static_cast<unsigned char>(part[i - 1]);
    return static_cast<T>(value);
  }
  std::string line() {
    const size_t end = bytes_.find('\n', at_);
    if (end == std::string_view::npos) fail("it is cut off");
    const std::string text(bytes_.substr(at_, end - at_));
    at_ = end + 1;
    return text;
  }

  // --- the stack ---
  uint32_t make(PickledValue value) {
    values_.push_back(std::move(value));
    return static_cast<uint32_t>(values_.size() - 1);
  }
  void push(PickledValue value) { stack_.push_back(make(std::move(value))); }
  // Never below the last mark, where LibTorch would read another container's values.
  uint32_t pop() {
    if (stack_.size() <= (marks_.empty() ? 0 : marks_.back())) fail("it takes a value that is not there");
    const uint32_t id = stack_.back();
    stack_.pop_back();
    return id;
  }
  uint32_t top() const {
    if (stack_.empty()) fail("it takes a value that is not there");
    return stack_.back();
  }
  std::vector<uint32_t> popToMark() {
    if (marks_.empty()) fail("it closes what was not opened");
    const size_t from = marks_.back();
    marks_.pop_back();
    std::vector<uint32_t> items(stack_.begin() + static_cast<std::ptrdiff_t>(from), stack_.end());
    stack_.resize(from);
    return items;
  }
  const PickledValue& value(uint32_t id) const { return values_[id]; }
  const PickledValue& item(uint32_t id, size_t index, Kind kind, const char* what) const {
    const PickledValue& tuple = values_[id];
    if (index >= tuple.items.size() || value(tuple.items[index]).kind != kind) fail(what);
    return value(tuple.items[index]);
  }

  void pushTuple(size_t size) {
    PickledValue tuple{.kind = Kind::kTuple, .number = 0, .text = {}, .items = std::vector<uint32_t>(size)};
    for (size_t i = size; i > 0; --i) tuple.items[i - 1] = pop();
    push(std::move(tuple));
  }
  void remember(size_t slot) {
    const uint32_t id = top();
    // PyTorch numbers them one after the other; LibTorch makes room for whatever number comes.
    if (slot > memo_.size()) fail("it leaves memo slots out");
    if (slot == memo_.size())
      memo_.push_back(id);
    else
      memo_[slot] = id;
  }
  void recall(size_t slot) {
    if (slot >= memo_.size()) fail("it recalls what was not remembered");
    stack_.push_back(memo_[slot]);
  }
  void extend(uint32_t container, const std::vector<uint32_t>& items) {
    std::vector<uint32_t>& held = values_[container].items;
    held.insert(held.end(), items.begin(), items.end());
  }

  bool step();
  void persist();
  void apply(uint32_t callee, uint32_t argument);
  void buildTensor(uint32_t argument, bool quantized);
  std::vector<int64_t> sizes(uint32_t argument, size_t index) const;
  void checkDepth() const;

  std::string_view bytes_;
  const std::string& name_;
  const PickleLimits& limits_;
  size_t at_ = 0;
  std::vector<PickledValue> values_;
  std::vector<uint32_t> stack_;
  std::vector<size_t> marks_;
  std::vector<uint32_t> memo_;
};

// One instruction; false at the end. Those that LibTorch knows and PyTorch's pickler does not write are
// refused.
bool PickleWalk::step() {
  const auto op = static_cast<char>(byte());
  switch (op) {
    case '.':
      return false;
    case '(':
      marks_.push_back(stack_.size());
      return true;
    case ')':
      push({.kind = Kind::kTuple, .number = 0, .text = {}, .items = {}});
      return true;
    case ']':
      push({.kind = Kind::kList, .number = 0, .text = {}, .items = {}});
      return true;
    case '}':
      push({.kind = Kind::kDict, .number = 0, .text = {}, .items = {}});
      return true;
    case 'N':
      push({});
      return true;
    case '\x88':
    case '\x89':
      push({.kind = Kind::kBool, .number = op == '\x88' ? 1 : 0, .text = {}, .items = {}});
      return true;
    case 'K':
      push({.kind = Kind::kInt, .number = number<uint8_t>(), .text = {}, .items = {}});
      return true;
    case 'M':
      push({.kind = Kind::kInt, .number = number<uint16_t>(), .text = {}, .items = {}});
      return true;
    case 'J':
      push({.kind = Kind::kInt, .number = number<int32_t>(), .text = {}, .items = {}});
      return true;
    case '\x8a':
      if (byte() != 8) fail("it has a number of another length than 8 bytes");
      push({.kind = Kind::kInt, .number = number<int64_t>(), .text = {}, .items = {}});
      return true;
    case 'G':
      take(8);
      push({.kind = Kind::kFloat, .number = 0, .text = {}, .items = {}});
      return true;
    case 'X': {
      const auto size = number<uint32_t>();
      push({.kind = Kind::kString, .number = 0, .text = std::string(take(size)), .items = {}});
      return true;
    }
    case 'q':
      remember(byte());
      return true;
    case 'r':
      remember(number<uint32_t>());
      return true;
    case 'h':
      recall(byte());
      return true;
    case 'j':
      recall(number<uint32_t>());
      return true;
    case 't': {
      std::vector<uint32_t> items = popToMark();
      push({.kind = Kind::kTuple, .number = 0, .text = {}, .items = std::move(items)});
      return true;
    }
    case '\x85':
    case '\x86':
    case '\x87':
      pushTuple(static_cast<size_t>(op - '\x85') + 1);
      return true;
    case 'l': {
      std::vector<uint32_t> items = popToMark();
      push({.kind = Kind::kList, .number = 0, .text = {}, .items = std::move(items)});
      return true;
    }
    case 'd': {
      std::vector<uint32_t> items = popToMark();
      if (items.size() % 2 != 0) fail("a dictionary has a key without a value");
      push({.kind = Kind::kDict, .number = 0, .text = {}, .items = std::move(items)});
      return true;
    }
    case 'e': {
      const std::vector<uint32_t> items = popToMark();
      if (value(top()).kind != Kind::kList) fail("it appends to what is not a list");
      extend(top(), items);
      return true;
    }
    case 'u': {
      const std::vector<uint32_t> items = popToMark();
      if (value(top()).kind != Kind::kDict || items.size() % 2 != 0) fail("it sets items of what has none");
      extend(top(), items);
      return true;
    }
    case 's': {
      const uint32_t held = pop();
      const uint32_t key = pop();
      if (value(top()).kind != Kind::kDict) fail("it sets an item of what has none");
      extend(top(), {key, held});
      return true;
    }
    case 'c': {
      const std::string module = line();
      push({.kind = Kind::kGlobal, .number = 0, .text = module + "." + line(), .items = {}});
      return true;
    }
    case '\x81': {  // an object, to be filled by BUILD
      const uint32_t arguments = pop();
      if (value(arguments).kind != Kind::kTuple || !value(arguments).items.empty() ||
          value(top()).kind != Kind::kGlobal) {
        fail("it makes an object of what is not a class");
      }
      return true;
    }
    case 'b':
    case 'R': {
      const uint32_t argument = pop();
      apply(pop(), argument);
      return true;
    }
    case 'Q':
      persist();
      return true;
    default:
      fail("it has an instruction that a model's pickle does not have");
  }
}

// A storage: ("storage", type, key, device, elements).
void PickleWalk::persist() {
  const char* const kWhat = "a storage is not described as PyTorch does";
  const uint32_t tuple = pop();
  if (value(tuple).kind != Kind::kTuple || value(tuple).items.size() != 5) fail(kWhat);
  if (item(tuple, 0, Kind::kString, kWhat).text != "storage") fail(kWhat);
  const StorageType* type = findStorageType(item(tuple, 1, Kind::kGlobal, kWhat).text);
  if (type == nullptr) fail("a storage is of a type that PyTorch does not have");
  const std::string& key = item(tuple, 2, Kind::kString, kWhat).text;
  item(tuple, 3, Kind::kString, kWhat);
  const int64_t elements = item(tuple, 4, Kind::kInt, kWhat).number;
  if (elements < 0 || elements > kMaxElements) fail("a storage has an impossible size");
  if (elements > 0) {
    const std::optional<uint64_t> bytes = limits_.storageSize(key);
    if (!bytes) fail("storage \"" + key + "\" has no record");
    if (*bytes < static_cast<uint64_t>(elements * type->itemSize)) {
      fail("the record of storage \"" + key + "\" has " + std::to_string(*bytes) +
           " bytes where its tensors need " + std::to_string(elements * type->itemSize));
    }
  }
  push({.kind = Kind::kStorage, .number = elements, .text = std::string(type->name), .items = {}});
}

std::vector<int64_t> PickleWalk::sizes(uint32_t argument, size_t index) const {
  const char* const kWhat = "a tensor has a size that is not a number";
  const PickledValue& tuple = item(argument, index, Kind::kTuple, kWhat);
  if (tuple.items.size() > kMaxDimensions) fail("a tensor has too many dimensions");
  std::vector<int64_t> numbers;
  for (const uint32_t id : tuple.items) {
    if (value(id).kind != Kind::kInt) fail(kWhat);
    numbers.push_back(value(id).number);
  }
  return numbers;
}

void PickleWalk::buildTensor(uint32_t argument, bool quantized) {
  const char* const kWhat = "a tensor is not described as PyTorch does";
  if (value(argument).kind != Kind::kTuple) fail(kWhat);
  const PickledValue& storage = item(argument, 0, Kind::kStorage, kWhat);
  if (findStorageType(storage.text)->quantized != quantized) fail(kWhat);
  const int64_t offset = item(argument, 1, Kind::kInt, kWhat).number;
  const std::vector<int64_t> shape = sizes(argument, 2);
  const std::vector<int64_t> strides = sizes(argument, 3);
  if (shape.size() != strides.size() || offset < 0 || offset > storage.number) fail(kWhat);
  bool empty = false;
  int64_t last = offset;
  for (size_t i = 0; i < shape.size(); ++i) {
    if (shape[i] < 0 || shape[i] > kMaxElements || strides[i] < 0 || strides[i] > kMaxElements) {
      fail("a tensor has an impossible shape");
    }
    if (shape[i] == 0) empty = true;
    if (shape[i] > 1 && strides[i] > (kMaxElements - last) / (shape[i] - 1)) {
      fail("a tensor reaches beyond its storage");
    }
    if (shape[i] > 1) last += strides[i] * (shape[i] - 1);
  }
  // Two four-bit or four two-bit numbers share a byte, so these reach less far than this counts.
  const bool packed = storage.text == "torch.QUInt4x2Storage" || storage.text == "torch.QUInt2x4Storage";
  const int64_t perByte = storage.text == "torch.QUInt4x2Storage" ? 2 : 4;
  const int64_t available = packed ? storage.number * perByte : storage.number;
  if (!empty && last >= available) fail("a tensor reaches beyond its storage");
  push({.kind = Kind::kTensor, .number = 0, .text = {}, .items = {}});
}

// REDUCE and BUILD, which LibTorch takes for the same.
void PickleWalk::apply(uint32_t callee, uint32_t argument) {
  if (value(callee).kind != Kind::kGlobal) fail("it calls what is not a function");
  const std::string name = value(callee).text;
  if (name == "torch._utils._rebuild_tensor_v2") return buildTensor(argument, false);
  if (name == "torch._utils._rebuild_qtensor") return buildTensor(argument, true);
  if (name == "torch._utils._rebuild_sparse_tensor") {
    throw Error("ERR_NOT_TORCHSCRIPT",
                "The record \"" + name_ +
                    "\" holds a sparse tensor, whose indices LibTorch does not check; make it "
                    "dense (to_dense()) and save the model again.");
  }
  if (isOneOf(kListBuilders, name)) {
    item(argument, 0, Kind::kList, "a list of numbers or tensors is built from something else");
    values_[value(argument).items[0]].text = name;
    stack_.push_back(value(argument).items[0]);
    return;
  }
  if (name == "torch.jit._pickle.restore_type_tag") {
    const std::string& type = item(argument, 1, Kind::kString, "a type is not text").text;
    size_t depth = 0;
    for (const char c : type) {
      if (c == '[' || c == '(') ++depth;
      if (c == ']' || c == ')') depth -= depth > 0 ? 1 : 0;
      if (depth > kMaxTypeDepth) fail("a type is nested too deeply");
    }
    const Kind tagged = value(value(argument).items[0]).kind;
    if (tagged != Kind::kList && tagged != Kind::kDict)
      fail("a type belongs to what is neither list nor dictionary");
    stack_.push_back(value(argument).items[0]);
    return;
  }
  if (name == "builtins.complex") {
    if (value(argument).kind != Kind::kTuple || value(argument).items.size() != 2)
      fail("a complex number lacks a part");
    item(argument, 0, Kind::kFloat, "a complex number lacks a part");
    item(argument, 1, Kind::kFloat, "a complex number lacks a part");
    return push({.kind = Kind::kOther, .number = 0, .text = {}, .items = {}});
  }
  if (name == "torch.device") {
    item(argument, 0, Kind::kString, "a device is not text");
    return push({.kind = Kind::kOther, .number = 0, .text = {}, .items = {}});
  }
  if (name == "collections.OrderedDict") return push({});
  if (isOneOf(kQuantizerNames, name) || findStorageType(name) != nullptr || !name.starts_with("__torch__.")) {
    throw Error("ERR_UNKNOWN_CLASS",
                "The record \"" + name_ + "\" names \"" + name +
                    "\", which a TorchScript model has no use for; save the model again.");
  }
  if (!limits_.allowsClass(name)) {
    throw Error("ERR_UNKNOWN_CLASS",
                "The record \"" + name_ + "\" holds an object of the class \"" + name +
                    "\", which torchsearch does not load; replace it by what PyTorch's modules "
                    "offer, and save the model again.");
  }
  push({.kind = Kind::kObject, .number = 0, .text = {}, .items = {argument}});
}

// The height of every value that was made, also of those that were dropped: LibTorch destroys them, too.
void PickleWalk::checkDepth() const {
  enum class Mark : uint8_t { kNew, kOpen, kDone };
  std::vector<Mark> marks(values_.size(), Mark::kNew);
  std::vector<uint32_t> heights(values_.size(), 0);
  std::vector<std::pair<uint32_t, size_t>> path;
  for (uint32_t root = 0; root < values_.size(); ++root) {
    if (marks[root] != Mark::kNew) continue;
    marks[root] = Mark::kOpen;
    path.emplace_back(root, 0);
    while (!path.empty()) {
      auto& [id, next] = path.back();
      const std::vector<uint32_t>& items = values_[id].items;
      if (next < items.size()) {
        const uint32_t child = items[next++];
        if (marks[child] == Mark::kOpen) fail("a value contains itself");
        if (marks[child] == Mark::kNew) {
          marks[child] = Mark::kOpen;
          path.emplace_back(child, 0);
        }
        continue;
      }
      uint32_t height = 0;
      for (const uint32_t child : items) height = std::max(height, heights[child] + 1);
      if (height > kMaxValueDepth) fail("its values are nested too deeply");
      heights[id] = height;
      marks[id] = Mark::kDone;
      path.pop_back();
    }
  }
}

}  // namespace

PickledTree checkPickle(std::string_view pickle, const std::string& name, const PickleLimits& limits) {
  return PickleWalk(pickle, name, limits).run();
}

}  // namespace torchsearch
