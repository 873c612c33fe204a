#include "core/exported/size_line.h"

#include <string>

#include "tests/support/doctest.h"

namespace torchsearch::testing {

using exported::readSizeLine;

// Texts as PyTorch 2.13 writes them.
TEST_CASE("sizes that are lines of a symbol") {
  const std::string s = "Symbol('s27', positive=True, integer=True)";
  const auto check = [](const std::string& text, int64_t scale, int64_t offset) {
    CAPTURE(text);
    const auto line = readSizeLine(text);
    REQUIRE(line.has_value());
    CHECK(line->symbol == "s27");
    CHECK(line->scale == scale);
    CHECK(line->offset == offset);
  };
  check(s, 1, 0);
  check("Mul(Integer(4), " + s + ")", 4, 0);
  check("Add(" + s + ", Integer(-3))", 1, -3);
  check("Add(Mul(Integer(2), " + s + "), Integer(1))", 2, 1);
  check("Add(Integer(8), Mul(Integer(-1), " + s + "))", -1, 8);
  for (const std::string& text :
       {std::string(), std::string("Integer(3)"), "Mul(" + s + ", " + s + ")", "Add(" + s + ", Symbol('s1'))",
        "FloorDiv(" + s + ", Integer(2))", "Mul(Integer(0), " + s + ")",
        "Mul(Integer(99999999999), " + s + ")", s + "x", std::string("Symbol('"), std::string("Add("),
        std::string("Symbol('')"), std::string("s27")}) {
    CAPTURE(text);
    CHECK(!readSizeLine(text).has_value());
  }
}

}  // namespace torchsearch::testing
