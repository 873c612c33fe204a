#include "core/profile/operator_cost.h"

#include "tests/support/doctest.h"
#include "tests/support/recorded.h"

namespace torchsearch::testing {

namespace {

struct CostCase {
  std::string body;
  std::vector<std::vector<int64_t>> shapes;
  int64_t macs;
};

// What PyTorch's FlopCounterMode counts, from scripts/fixtures/operator_costs.py.
const std::vector<CostCase>& cases() {
  static const std::vector<CostCase> all = {
#include "tests/profile/operator_costs.inc"
  };
  return all;
}

Recorded recordBody(const CostCase& expected) {
  std::string parameters = "self";
  Inputs inputs;
  for (size_t i = 0; i < expected.shapes.size(); ++i) {
    parameters += std::string(", ") + static_cast<char>('a' + i);
    inputs.args.emplace_back(at::rand(expected.shapes[i]));
  }
  torch::jit::Module module("m");
  module.define("def forward(" + parameters + "):\n  return " + expected.body + "\n");
  return {module, inputs};
}

}  // namespace

TEST_CASE("multiply-adds are those that PyTorch's FlopCounterMode counts") {
  REQUIRE_GT(cases().size(), 60u);
  for (const auto& expected : cases()) {
    CAPTURE(expected.body);
    CAPTURE(expected.shapes.front());
    const Recorded recorded = recordBody(expected);
    int64_t macs = 0;
    for (const auto& instruction : recorded.program->instructions) {
      macs += evaluateTerms(multiplyAddTerms(*recorded.program, instruction), *recorded.program);
    }
    CHECK_EQ(macs, expected.macs);
  }
}

TEST_CASE("terms refer to dimensions, so that a smaller width costs what it would if it were recorded") {
  Program wide = *recordBody({"torch.conv2d(a, b)", {{2, 4, 9, 9}, {6, 4, 3, 3}}, 0}).program;
  const auto terms = multiplyAddTerms(wide, wide.instructions.at(0));
  for (auto& slot : wide.slots) {
    if (slot.sizes == std::vector<int64_t>{6, 4, 3, 3}) slot.sizes = {3, 2, 3, 3};
  }
  CHECK_EQ(evaluateTerms(terms, wide), 2 * 7 * 7 * 3 * 2 * 9);
}

}  // namespace torchsearch::testing
