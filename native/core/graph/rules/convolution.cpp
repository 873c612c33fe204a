#include <utility>

#include "core/graph/rules/rule.h"

namespace torchsearch {

namespace {

// Groups are kept or dropped as a whole; a depthwise convolution's are single channels. `own` are the
// channels along the weight's first dimension, `other` those of the other side (the input of a convolution,
// the result of a transposed one). Gives the labels of the other side.
Labels tieGroups(const Rule& rule, const Labels& own, const Labels& other, int64_t groups, int64_t ownSize,
                 int64_t otherSize) {
  if (own.empty()) {
    rule.fix(other);
    return {};
  }
  Labels result;
  const int64_t ownPer = ownSize / groups;
  const int64_t otherPer = otherSize / groups;
  for (int64_t g = 0; g < groups; ++g) {
    const Atom anchor = own[g * ownPer];
    for (int64_t k = 1; k < ownPer; ++k) rule.analysis.tie(anchor, own[g * ownPer + k]);
    for (int64_t k = 0; k < otherPer; ++k) {
      if (!other.empty()) rule.analysis.tie(anchor, other[g * otherPer + k]);
      result.push_back(anchor);
    }
  }
  return result;
}

// Groups of several channels: either whole groups are kept, or the same channels of every group.
void tieGroupsOrWithin(const Rule& rule, const Labels& in, const Labels& kernelOut, const Labels& kernelIn,
                       int64_t groups, int64_t inPer, int64_t outPer) {
  // Dimensions of what is split, to tell the two splits apart.
  constexpr int32_t kInput = 1;
  constexpr int32_t kKernel = -1;
  const auto inFactors = rule.analysis.split(in, {groups, inPer}, kInput);
  const auto outFactors = rule.analysis.split(kernelOut, {groups, outPer}, kKernel);
  rule.analysis.tie(inFactors[0], outFactors[0], rule.reason);
  rule.analysis.tie(inFactors[1], kernelIn, "it is the width of a convolution's group");
}

}  // namespace

void convolutionRule(const Rule& rule) {
  const SlotId input = rule.slot("input");
  const SlotId weight = rule.slot("weight");
  const int64_t rank = rule.rank(weight);
  const bool transposed = rule.name().find("transpose") != std::string::npos ||
                          (rule.takes("transposed") && rule.boolean("transposed"));
  const int64_t groups = rule.integer("groups");
  // An input without a batch has its channels first.
  const int64_t channel = rule.rank(input) == rank ? 1 : 0;
  if (rule.rank(input) != rank && rule.rank(input) != rank - 1) return keepWhole(rule);
  const auto in = rule.labels(input);
  const auto kernel = rule.labels(weight);
  for (int64_t d = 2; d < rank; ++d) rule.analysis.fix(kernel[d], "it is a kernel size");
  for (int64_t d = channel + 1; d < rule.rank(input); ++d) rule.fix(in[d]);
  std::vector<Labels> result(in.size());
  if (channel == 1) result[0] = in[0];
  if (groups == 1) {
    rule.shared({{input, channel}, {weight, transposed ? 0 : 1}});
    result[channel] = kernel[transposed ? 1 : 0];
  } else {
    const int64_t first = rule.sizes(weight)[0];
    const int64_t inSize = rule.sizes(input)[channel];
    if (transposed) {
      rule.analysis.fix(kernel[1], "it is the width of a convolution's group");
      rule.analysis.tie(kernel[0], in[channel], rule.reason);
      result[channel] = tieGroups(rule, kernel[0], {}, groups, first, rule.sizes(weight)[1] * groups);
    } else if (inSize > groups) {
      tieGroupsOrWithin(rule, in[channel], kernel[0], kernel[1], groups, inSize / groups, first / groups);
      result[channel] = kernel[0];
    } else {
      if (in[channel].empty()) rule.fix(kernel[0]);
      tieGroups(rule, kernel[0], in[channel], groups, first, inSize);
      result[channel] = kernel[0];
    }
  }
  rule.tieVector("bias", result[channel]);
  rule.setResult(std::move(result));
}

}  // namespace torchsearch
