#include <torch/csrc/jit/runtime/operator.h>
#include <torch/version.h>

#include <cstdlib>
#include <fstream>
#include <set>
#include <sstream>

#include "core/graph/rules/rule_family.h"
#include "tests/support/doctest.h"

namespace torchsearch::testing {

namespace {

std::string page() {
  std::ostringstream text;
  text << "# Operators\n\n"
          "The dependency analysis knows the operators in this table, and how the channels of their inputs "
          "relate to those of their\n"
          "outputs (`native/core/graph/rules/`). Any other operator keeps whole what passes through it, and\n"
          "`torchsearch prunable MODEL` names it. The most important of these is fused multi-head attention. "
          "A dimension that\n"
          "\"stays whole\" is not narrowed in any tensor that it is tied to.\n"
          "\n"
          "A test writes this page from the table of rules: `TORCHSEARCH_WRITE_DOCS=1 npm test -- cpp`.\n\n"
          "| what | rule | operators (`aten::`) |\n"
          "| --- | --- | --- |\n";
  for (const auto& family : ruleFamilies()) {
    text << "| " << family.title << " | " << family.description << " | ";
    std::istringstream names(family.names);
    bool first = true;
    for (std::string name; names >> name; first = false) text << (first ? "`" : ", `") << name << "`";
    text << (family.hasInPlace ? "; also in place |\n" : " |\n");
  }
  return text.str();
}

}  // namespace

TEST_CASE("docs/operators.md lists the rules that there are") {
  const std::string path = std::string(TORCHSEARCH_SOURCE_DIR) + "/docs/operators.md";
  if (std::getenv("TORCHSEARCH_WRITE_DOCS") != nullptr) std::ofstream(path) << page();
  std::ifstream file(path);
  std::stringstream text;
  text << file.rdbuf();
  CHECK_MESSAGE(text.str() == page(), "write it anew with TORCHSEARCH_WRITE_DOCS=1 npm test -- cpp");
}

TEST_CASE("no operator has two rules") {
  std::set<std::string> seen;
  for (const auto& family : ruleFamilies()) {
    std::istringstream names(family.names);
    for (std::string name; names >> name;) {
      INFO(name);
      CHECK(seen.insert(name).second);
      // A name that LibTorch doesn't know would be a slip of the pen.
      const auto known = [&](const std::string& operatorName) {
        return !torch::jit::getAllOperatorsFor(c10::Symbol::fromQualString("aten::" + operatorName)).empty();
      };
      // Newer than the oldest PyTorch that is supported.
      const bool isToCome = TORCH_VERSION_MINOR < 13 && name == "_upsample_lanczos2d_aa";
      CHECK((isToCome || known(name) || (family.hasInPlace && known(name + "_"))));
    }
  }
}

}  // namespace torchsearch::testing
