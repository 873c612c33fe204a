#include <algorithm>

#include "core/graph/rules/rule.h"

namespace torchsearch {

namespace {

// The two operands of a matrix product, whatever the schema calls them.
void matrixProduct(const Rule& rule, SlotId left, SlotId right) {
  const int64_t leftRank = rule.rank(left);
  const int64_t rightRank = rule.rank(right);
  if (leftRank < 2 || rightRank < 2) return keepWhole(rule);
  const auto& a = rule.labels(left);
  const auto& b = rule.labels(right);
  if (rule.isActivation(left) && rule.isActivation(right)) {
    rule.analysis.contract(a[leftRank - 1], b[rightRank - 2], rule.reason);
  } else {
    rule.analysis.tie(a[leftRank - 1], b[rightRank - 2], rule.reason);
  }
  const int64_t rank = std::max(leftRank, rightRank);
  std::vector<Labels> result(rank);
  result[rank - 2] = a[leftRank - 2];
  result[rank - 1] = b[rightRank - 1];
  for (int64_t d = 0; d < rank - 2; ++d) {
    const int64_t inA = d - (rank - leftRank);
    const int64_t inB = d - (rank - rightRank);
    if (inA >= 0 && inB >= 0) {
      rule.analysis.tie(a[inA], b[inB], rule.reason);
      result[d] = a[inA].empty() ? b[inB] : a[inA];
    } else {
      result[d] = inA >= 0 ? a[inA] : b[inB];
    }
  }
  rule.setResult(std::move(result));
}

}  // namespace

void convolutionRule(const Rule& rule) {
  const SlotId input = rule.slot("input");
  const SlotId weight = rule.slot("weight");
  const int64_t rank = rule.rank(weight);
  const bool transposed = rule.instruction.schema->name().find("transpose") != std::string::npos ||
                          (rule.instruction.schema->argumentIndexWithName("transposed").has_value() &&
                           rule.argument("transposed").constant.toBool());
  const int64_t groups = rule.integer("groups");
  if (rule.rank(input) != rank || (transposed && groups != 1)) return keepWhole(rule);
  auto& in = rule.labels(input);
  auto& kernel = rule.labels(weight);
  for (int64_t d = 2; d < rank; ++d) rule.analysis.fix(kernel[d], "it is a kernel size");
  for (int64_t d = 0; d < rank; ++d) {
    if (d != 1) rule.analysis.fix(in[d], rule.reason);
  }
  std::vector<Labels> result(rank);
  if (groups == 1) {
    rule.analysis.tie(in[1], kernel[transposed ? 0 : 1], rule.reason);
    result[1] = kernel[transposed ? 1 : 0];
  } else {
    // Groups are kept or dropped as a whole; a depthwise convolution's are single channels.
    rule.analysis.fix(kernel[1], "it is the width of a convolution's group");
    const int64_t inPer = rule.sizes(input)[1] / groups;
    const int64_t outPer = rule.sizes(weight)[0] / groups;
    for (int64_t g = 0; g < groups; ++g) {
      if (kernel[0].empty()) break;
      const Atom anchor = kernel[0][g * outPer];
      for (int64_t k = 1; k < outPer; ++k) rule.analysis.tie(anchor, kernel[0][g * outPer + k]);
      for (int64_t k = 0; k < inPer; ++k) {
        rule.analysis.tie(anchor, in[1].empty() ? kFixedAtom : in[1][g * inPer + k]);
      }
    }
    result[1] = kernel[0];
  }
  rule.tieVector("bias", result[1]);
  rule.setResult(std::move(result));
}

void linearRule(const Rule& rule) {
  const auto& in = rule.labels(rule.slot("input"));
  const auto& weight = rule.labels(rule.slot("weight"));
  if (weight.size() != 2) return keepWhole(rule);
  rule.analysis.tie(in.back(), weight[1], rule.reason);
  auto result = in;
  result.back() = weight[0];
  rule.tieVector("bias", weight[0]);
  rule.setResult(std::move(result));
}

void matmulRule(const Rule& rule) {
  const auto slots = tensorArguments(rule.instruction);
  if (slots.size() != 2) return keepWhole(rule);
  matrixProduct(rule, slots[0], slots[1]);
}

void addmmRule(const Rule& rule) {
  matrixProduct(rule, rule.slot("mat1"), rule.slot("mat2"));
  const SlotId bias = rule.slot("self");
  const auto& result = rule.labels(rule.result());
  if (rule.rank(bias) == 1) {
    rule.analysis.tie(rule.labels(bias)[0], result.back(), rule.reason);
  } else {
    rule.analysis.fixSlot(bias, rule.reason);
    rule.analysis.fixSlot(rule.result(), rule.reason);
  }
}

}  // namespace torchsearch
