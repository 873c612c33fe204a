#include "core/archive/inlined_size.h"

#include <torch/csrc/jit/api/compilation_unit.h>
#include <torch/csrc/jit/api/function_impl.h>
#include <torch/csrc/jit/passes/inliner.h>
#include <torch/jit.h>

#include <set>
#include <string>

#include "core/archive/operator_policy.h"
#include "tests/support/doctest.h"

using namespace torchsearch;

namespace {

// Functions f0, f1, … that each call the one before twice, within a branch and beside it.
std::shared_ptr<torch::jit::CompilationUnit> doubling(int length) {
  std::string source = "def f0(x):\n  return x + 1\n";
  for (int i = 1; i <= length; ++i) {
    const std::string before = "f" + std::to_string(i - 1) + "(x)";
    source += "def f" + std::to_string(i) + "(x):\n  if bool(x.sum() > 0):\n    x = " + before +
              "\n  return " + before + "\n";
  }
  return torch::jit::compile(source);
}

uint64_t count(const torch::jit::Block* block) {
  uint64_t nodes = 0;
  for (const torch::jit::Node* node : block->nodes()) {
    ++nodes;
    for (const torch::jit::Block* inner : node->blocks()) nodes += count(inner);
  }
  return nodes;
}

}  // namespace

TEST_CASE("the size of code is that of what LibTorch's inliner makes, and is known without making it") {
  for (const int length : {0, 1, 5}) {
    CAPTURE(length);
    const auto unit = doubling(length);
    auto* const function = unit->find_function("f" + std::to_string(length));
    REQUIRE(function != nullptr);
    const uint64_t size = largestInlinedSize(*unit);
    const auto graph = torch::jit::toGraphFunction(*function).graph()->copy();
    torch::jit::Inline(*graph);
    // A call's function is a constant of its own, which goes with the call: at most one node each.
    CHECK_GE(size, count(graph->block()));
    CHECK_LE(size, 2 * count(graph->block()));
  }
  CHECK_GT(largestInlinedSize(*doubling(40)), uint64_t{1} << 40);
  CHECK_EQ(largestInlinedSize(*doubling(100)), UINT64_MAX);
}

TEST_CASE("calls that multiply the code are refused, unless they are permitted") {
  const std::string name = "calls that multiply the code";
  const auto unit = doubling(40);
  CHECK_EQ(refusedNames(*unit, {}), std::vector<std::string>{name});
  CHECK(refusedNames(*unit, {name}).empty());
  CHECK(refusedNames(*doubling(8), {}).empty());
}
