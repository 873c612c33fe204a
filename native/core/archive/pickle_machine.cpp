#include "core/archive/pickle_machine.h"

#include <utility>

#include "core/base/error.h"

namespace torchsearch {
namespace {

// More than any model's pickle holds. An instruction of one byte makes a value of many.
constexpr size_t kMaxValues = size_t{1} << 24;

}  // namespace

void PickleMachine::fail(const std::string& why) const {
  throw Error("ERR_NOT_TORCHSCRIPT", "The record \"" + name_ + "\" is damaged or hostile: " + why +
                                         " (byte " + std::to_string(at_) + "); save the model again.");
}

std::string_view PickleMachine::take(size_t size) {
  if (size > bytes_.size() - at_) fail("it is cut off");
  const std::string_view part = bytes_.substr(at_, size);
  at_ += size;
  return part;
}

std::string PickleMachine::line() {
  const size_t end = bytes_.find('\n', at_);
  if (end == std::string_view::npos) fail("it is cut off");
  std::string text(bytes_.substr(at_, end - at_));
  at_ = end + 1;
  return text;
}

const PickledValue& PickleMachine::item(uint32_t id, size_t index, PickledKind kind, const char* what) const {
  const PickledValue& tuple = values_[id];
  if (index >= tuple.items.size() || value(tuple.items[index]).kind != kind) fail(what);
  return value(tuple.items[index]);
}

void PickleMachine::extend(uint32_t container, const std::vector<uint32_t>& items) {
  std::vector<uint32_t>& held = values_[container].items;
  held.insert(held.end(), items.begin(), items.end());
}

PickledTree PickleMachine::finish() {
  if (stack_.size() != 1 || !marks_.empty()) fail("it leaves more than one value");
  return {std::move(values_), stack_.front()};
}

void PickleMachine::push(PickledValue value) {
  if (values_.size() >= kMaxValues) fail("it holds more values than any model");
  values_.push_back(std::move(value));
  stack_.push_back(static_cast<uint32_t>(values_.size() - 1));
}

// Never below the last mark, where LibTorch would read another container's values.
uint32_t PickleMachine::pop() {
  if (stack_.size() <= (marks_.empty() ? 0 : marks_.back())) fail("it takes a value that is not there");
  const uint32_t id = stack_.back();
  stack_.pop_back();
  return id;
}

uint32_t PickleMachine::top() const {
  if (stack_.empty()) fail("it takes a value that is not there");
  return stack_.back();
}

std::vector<uint32_t> PickleMachine::popToMark() {
  if (marks_.empty()) fail("it closes what was not opened");
  const size_t from = marks_.back();
  marks_.pop_back();
  std::vector<uint32_t> items(stack_.begin() + static_cast<std::ptrdiff_t>(from), stack_.end());
  stack_.resize(from);
  return items;
}

void PickleMachine::pushTuple(size_t size) {
  PickledValue tuple{
      .kind = PickledKind::kTuple, .number = 0, .text = {}, .items = std::vector<uint32_t>(size)};
  for (size_t i = size; i > 0; --i) tuple.items[i - 1] = pop();
  push(std::move(tuple));
}

void PickleMachine::remember(size_t slot) {
  const uint32_t id = top();
  // PyTorch numbers them one after the other; LibTorch makes room for whatever number comes.
  if (slot > memo_.size()) fail("it leaves memo slots out");
  if (slot == memo_.size())
    memo_.push_back(id);
  else
    memo_[slot] = id;
}

void PickleMachine::recall(size_t slot) {
  if (slot >= memo_.size()) fail("it recalls what was not remembered");
  stack_.push_back(memo_[slot]);
}

}  // namespace torchsearch
