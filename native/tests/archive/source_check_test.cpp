#include "core/archive/source_check.h"

#include <string>

#include "core/base/error.h"
#include "tests/support/doctest.h"

using namespace torchsearch;

namespace {

std::string sourceProblem(const std::string& source) {
  try {
    checkSource(source, "__torch__.m", "m");
    return "";
  } catch (const Error& error) {
    return error.code();
  }
}

std::string withMethod(const std::string& parameters, const std::string& body) {
  return "class A(Module):\n  __parameters__ = [\"w\", ]\n  __buffers__ = []\n  w : Tensor\n"
         "  def forward(self: __torch__.m.A" +
         parameters + ") -> Tensor:\n    " + body + "\n";
}

}  // namespace

TEST_CASE("a source says which classes it defines, and whether loading runs one's code") {
  const SourceContents plain = checkSource(withMethod("", "return self.w"), "__torch__.m", "m");
  CHECK_EQ(plain.classes, std::vector<std::string>{"__torch__.m.A"});
  CHECK_FALSE(plain.setsState);
  const std::string state =
      "  def __setstate__(self: __torch__.m.A, s: Tensor) -> NoneType:\n    return None\n";
  CHECK(checkSource(withMethod("", "return self.w") + state, "__torch__.m", "m").setsState);
}

TEST_CASE("defaults of parameters are literals") {
  for (const char* literal : {"1", "-1.5", "None", "True", "\"text\"", "[1, 2]", "(1, -2)", "inf",
                              "annotate(List[int], [])", "torch.device(\"cpu\")", "CONSTANTS.c0"}) {
    CAPTURE(literal);
    CHECK_EQ(sourceProblem(withMethod(std::string(", x: Any=") + literal, "return self.w")), "");
  }
  for (const char* computed : {"torch.save(1)", "ops.aten.from_file(\"f\")", "[torch.ones([1])]", "(1 + 2)",
                               "f(1)", "float(torch.ones([1]))", "getattr(torch, \"save\")(1)",
                               "x if True else y", "[a for a in b]", "(-torch.ones([1]))"}) {
    CAPTURE(computed);
    CHECK_EQ(sourceProblem(withMethod(std::string(", x: Any=") + computed, "return self.w")),
             "ERR_UNSAFE_OPERATOR");
  }
}

TEST_CASE("constants of classes are literals, their types are not evaluated") {
  const auto member = [](const std::string& line) {
    return "class A(Module):\n  __parameters__ = []\n  __buffers__ = []\n  " + line + "\n";
  };
  CHECK_EQ(sourceProblem(member("c : Final[int] = 3")), "");
  CHECK_EQ(sourceProblem(member("__annotations__[\"0\"] = List[int]")), "");
  CHECK_EQ(sourceProblem(member("c : Final[int] = torch.len(torch.from_file(\"f\"))")),
           "ERR_UNSAFE_OPERATOR");
}

TEST_CASE("what nests deeper than a compiler can follow is refused") {
  const auto body = [](const std::string& expression) {
    return sourceProblem(withMethod("", "return " + expression));
  };
  const auto times = [](size_t count, const std::string& text) {
    std::string all;
    for (size_t i = 0; i < count; ++i) all += text;
    return all;
  };
  CHECK_EQ(body(times(100, "(") + "1" + times(100, ")")), "");
  CHECK_EQ(body(times(5000, "(") + "1" + times(5000, ")")), "ERR_NOT_TORCHSCRIPT");
  CHECK_EQ(body(times(5000, "-") + "1"), "ERR_NOT_TORCHSCRIPT");
  CHECK_EQ(body(times(5000, "not ") + "True"), "ERR_NOT_TORCHSCRIPT");
  CHECK_EQ(body("1" + times(5000, " + 1")), "ERR_NOT_TORCHSCRIPT");
  CHECK_EQ(body("x" + times(5000, ".y")), "ERR_NOT_TORCHSCRIPT");
  CHECK_EQ(body("x" + times(5000, "[0]")), "ERR_NOT_TORCHSCRIPT");
  CHECK_EQ(body("[" + times(5000, "-1.5, ") + "]"), "");
  // Brackets in text and comments nest nothing.
  CHECK_EQ(body("\"" + times(5000, "(") + "\"  # " + times(5000, "[")), "");
}

TEST_CASE("types that variables grow into stay small") {
  const auto grown = [](const std::string& line, int times) {
    std::string body = "t0 = (x, x)\n";
    for (int i = 1; i < times; ++i) {
      std::string next = line;
      for (size_t at = next.find('#'); at != std::string::npos; at = next.find('#'))
        next.replace(at, 1, std::to_string(i - 1));
      body += "    t" + std::to_string(i) + " = " + next + "\n";
    }
    return withMethod(",\n    x: Tensor", body + "    return x");
  };
  CHECK_EQ(sourceProblem(grown("(t#, t#)", 10)), "");
  CHECK_EQ(sourceProblem(grown("(t#, t#)", 20)), "ERR_NOT_TORCHSCRIPT");
  CHECK_EQ(sourceProblem(grown("(t#,)", 90)), "");
  CHECK_EQ(sourceProblem(grown("(t#,)", 110)), "ERR_NOT_TORCHSCRIPT");
  CHECK_EQ(sourceProblem(grown("annotate(List[int], [t#])", 110)), "ERR_NOT_TORCHSCRIPT");
  // What an operator gives is a tensor, whatever it is given: a dense block concatenates a hundred times.
  CHECK_EQ(sourceProblem(grown("torch.cat([t#, t#], 1)", 500)), "");
}

TEST_CASE("a function says what it returns") {
  CHECK_EQ(sourceProblem("def f(x: Tensor):\n  return x\n"), "ERR_NOT_TORCHSCRIPT");
  CHECK_EQ(sourceProblem("def f(x: Tensor) -> Tensor:\n  return x\n"), "");
}
