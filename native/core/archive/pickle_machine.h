#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/archive/pickled_value.h"

namespace torchsearch {

// What the instructions of a pickle work on: its bytes, the values made so far, the stack, its marks, and the
// memo. Refuses what LibTorch's unpickler would do without looking: to read beyond the end, to take another
// container's values, to make room for any memo slot.
class PickleMachine {
 public:
  // `name` is the record's, for messages.
  PickleMachine(std::string_view bytes, const std::string& name) : bytes_(bytes), name_(name) {}

  // ERR_NOT_TORCHSCRIPT, with the place.
  [[noreturn]] void fail(const std::string& why) const;
  const std::string& name() const { return name_; }

  // --- reading ---
  std::string_view take(size_t size);
  uint8_t byte() { return static_cast<uint8_t>(take(1)[0]); }
  // Little-endian.
  template <class T>
  T number() {
    const std::string_view part = take(sizeof(T));
    uint64_t value = 0;
    for (size_t i = sizeof(T); i > 0; --i) value = (value << 8) | static_cast<unsigned char>(part[i - 1]);
    return static_cast<T>(value);
  }
  std::string line();

  // --- values ---
  const PickledValue& value(uint32_t id) const { return values_[id]; }
  // An item of a tuple or object, which must be of a kind; `what` says what is wrong otherwise.
  const PickledValue& item(uint32_t id, size_t index, PickledKind kind, const char* what) const;
  void extend(uint32_t container, const std::vector<uint32_t>& items);
  void setText(uint32_t id, std::string text) { values_[id].text = std::move(text); }
  // The end: one value, which is the pickle's.
  PickledTree finish();

  // --- the stack ---
  void push(PickledValue value);
  void pushKnown(uint32_t id) { stack_.push_back(id); }
  uint32_t pop();
  uint32_t top() const;
  void mark() { marks_.push_back(stack_.size()); }
  std::vector<uint32_t> popToMark();
  void pushTuple(size_t size);

  // --- the memo ---
  void remember(size_t slot);
  void recall(size_t slot);

 private:
  std::string_view bytes_;
  const std::string& name_;
  size_t at_ = 0;
  std::vector<PickledValue> values_;
  std::vector<uint32_t> stack_;
  std::vector<size_t> marks_;
  std::vector<uint32_t> memo_;
};

}  // namespace torchsearch
