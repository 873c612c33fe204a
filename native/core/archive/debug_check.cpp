#include "core/archive/debug_check.h"

#include <algorithm>
#include <optional>
#include <span>

#include "core/base/error.h"

namespace torchsearch {
namespace {

using Kind = PickledKind;

constexpr std::string_view kStringTable = "FORMAT_WITH_STRING_TABLE";
constexpr std::string_view kNumberList = "torch.jit._pickle.build_intlist";

// A record is a tuple of rows; or, since PyTorch 1.11, that mark, a table of texts, and a tuple of rows.
// A row is (offset in the code, range, tag), once without the tag or with the tag before the range; a range
// is (source, start, end). A source is (text, file name, first line); with a table (lines of the text as
// positions in the table, position of the file name, first line).
class DebugCheck {
 public:
  DebugCheck(const PickledTree& tree, const std::string& name) : values_(tree.values), name_(name) {
    const PickledValue& root = expect(tree.root, Kind::kTuple);
    std::span<const uint32_t> rows(root.items);
    if (!rows.empty() && values_[rows[0]].kind == Kind::kString) {
      if (rows.size() != 3 || values_[rows[0]].text != kStringTable) fail();
      table_ = expect(rows[1], Kind::kTuple).items;
      for (const uint32_t id : *table_) expect(id, Kind::kString);
      rows = expect(rows[2], Kind::kTuple).items;
    }
    for (const uint32_t row : rows) checkRow(expect(row, Kind::kTuple));
  }

 private:
  [[noreturn]] void fail() const {
    throw Error("ERR_NOT_TORCHSCRIPT", "The record \"" + name_ +
                                           "\" is damaged or hostile: it names places of the source code "
                                           "that are not there; save the model again.");
  }

  const PickledValue& expect(uint32_t id, Kind kind) const {
    if (values_[id].kind != kind) fail();
    return values_[id];
  }
  size_t position(uint32_t id, size_t limit) const {
    const int64_t number = expect(id, Kind::kInt).number;
    if (number < 0 || static_cast<uint64_t>(number) > limit) fail();
    return static_cast<size_t>(number);
  }
  const std::string& textAt(uint32_t id) const {
    const size_t at = position(id, table_->size());
    if (at == table_->size()) fail();
    return values_[(*table_)[at]].text;
  }

  void checkRow(const PickledValue& row) const {
    if (row.items.size() != 2 && row.items.size() != 3) fail();
    position(row.items[0], SIZE_MAX);
    // Beside the offset and the range, a tag: any whole number.
    const bool tagFirst = row.items.size() == 3 && values_[row.items[1]].kind == Kind::kInt;
    const uint32_t rangeId = row.items[tagFirst ? 2 : 1];
    if (row.items.size() == 3) expect(row.items[tagFirst ? 1 : 2], Kind::kInt);
    const PickledValue& range = expect(rangeId, Kind::kTuple);
    if (range.items.size() != 3) fail();
    // PyTorch writes [0, 1) of an empty text for code that it made itself.
    const size_t length = std::max<size_t>(1, lengthOf(expect(range.items[0], Kind::kTuple)));
    const size_t end = position(range.items[2], length);
    position(range.items[1], end);
  }

  // Characters of a source.
  size_t lengthOf(const PickledValue& source) const {
    if (source.items.size() != 3) fail();
    position(source.items[2], INT32_MAX);
    if (!table_) {
      if (values_[source.items[1]].kind != Kind::kNone) expect(source.items[1], Kind::kString);
      return expect(source.items[0], Kind::kString).text.size();
    }
    textAt(source.items[1]);
    const PickledValue& lines = expect(source.items[0], Kind::kList);
    if (lines.text != kNumberList) fail();
    size_t length = 0;
    for (const uint32_t line : lines.items) length += textAt(line).size();
    return length;
  }

  const std::vector<PickledValue>& values_;
  const std::string& name_;
  std::optional<std::vector<uint32_t>> table_;
};

}  // namespace

void checkDebugPickle(const PickledTree& tree, const std::string& name) {
  DebugCheck(tree, name);
}

}  // namespace torchsearch
