#include "core/archive/debug_check.h"

#include <optional>
#include <string>

#include "core/archive/pickle_check.h"
#include "core/base/error.h"
#include "tests/support/doctest.h"

using namespace torchsearch;

namespace {

std::string debugNumber(int value) {
  return {'K', static_cast<char>(value)};
}

std::string debugText(const std::string& value) {
  return std::string("X") + static_cast<char>(value.size()) + std::string(3, '\0') + value;
}

std::string debugTuple(const std::string& items) {
  return "(" + items + "t";
}

std::string debugNumbers(const std::string& items) {
  return "ctorch.jit._pickle\nbuild_intlist\n](" + items + "e\x85R";
}

// As PyTorch writes them (pickletools shows it of any TorchScript file): a table of "ab", "cde" and "f.py",
// and a row.
std::string debugTable(const std::string& lines, int file, int start, int end) {
  const std::string source = debugTuple(lines + debugNumber(file) + debugNumber(7));
  const std::string row = debugTuple(
      debugNumber(0) + debugTuple(source + debugNumber(start) + debugNumber(end)) + debugNumber(1));
  return "\x80\x02" +
         debugTuple(debugText("FORMAT_WITH_STRING_TABLE") +
                    debugTuple(debugText("ab") + debugText("cde") + debugText("f.py")) + debugTuple(row)) +
         ".";
}

std::optional<std::string> debugCodeOf(const std::string& pickle) {
  PickleLimits limits;
  limits.storageSize = [](const std::string&) { return std::nullopt; };
  limits.allowsClass = [](const std::string&) { return false; };
  try {
    checkDebugPickle(checkPickle(pickle, "code/a.py.debug_pkl", limits), "code/a.py.debug_pkl");
    return std::nullopt;
  } catch (const Error& error) {
    return error.code();
  }
}

}  // namespace

TEST_CASE("debug information within its texts passes") {
  CHECK_EQ(debugCodeOf(debugTable(debugNumbers(debugNumber(0) + debugNumber(1)), 2, 1, 5)), std::nullopt);
  CHECK_EQ(debugCodeOf(debugTable(debugNumbers(debugNumber(1)), 0, 3, 3)), std::nullopt);
  // Of no text, PyTorch writes the range [0, 1).
  CHECK_EQ(debugCodeOf(debugTable(debugNumbers(""), 0, 0, 1)), std::nullopt);
  CHECK_EQ(debugCodeOf("\x80\x02)."), std::nullopt);
  // Before PyTorch 1.11: rows alone, with their texts in them.
  const std::string source = debugTuple(debugText("abc") + debugText("f.py") + debugNumber(1));
  const std::string range = debugTuple(source + debugNumber(0) + debugNumber(3));
  CHECK_EQ(debugCodeOf("\x80\x02" + debugTuple(debugTuple(debugNumber(0) + range)) + "."), std::nullopt);
  CHECK_EQ(debugCodeOf("\x80\x02" + debugTuple(debugTuple(debugNumber(0) + debugNumber(1) + range)) + "."),
           std::nullopt);
}

TEST_CASE("debug information that points beyond its texts is refused") {
  const std::optional<std::string> refused = "ERR_NOT_TORCHSCRIPT";
  CHECK_EQ(debugCodeOf(debugTable(debugNumbers(debugNumber(0) + debugNumber(1)), 2, 0, 6)), refused);  // end
  CHECK_EQ(debugCodeOf(debugTable(debugNumbers(debugNumber(0) + debugNumber(1)), 2, 4, 2)),
           refused);  // start after end
  CHECK_EQ(debugCodeOf(debugTable(debugNumbers(debugNumber(0) + debugNumber(3)), 2, 0, 1)),
           refused);                                                                  // no such text
  CHECK_EQ(debugCodeOf(debugTable(debugNumbers(debugNumber(0)), 3, 0, 1)), refused);  // no such file name
  CHECK_EQ(debugCodeOf(debugTable("](" + debugNumber(0) + "e", 2, 0, 1)), refused);   // a list of whatever
  CHECK_EQ(debugCodeOf(debugTable(debugNumbers(debugText("a")), 2, 0, 1)), refused);
  CHECK_EQ(debugCodeOf("\x80\x02" + debugNumber(1) + "."), refused);
  CHECK_EQ(debugCodeOf("\x80\x02" + debugTuple(debugTuple("")) + "."), refused);
  CHECK_EQ(debugCodeOf("\x80\x02" + debugTuple(debugText("ANOTHER_FORMAT")) + "."), refused);
}
