#include "core/graph/rules/rule.h"

namespace torchsearch {

namespace {

// Labels of the dimensions that are merged into one: those of the single labelled one, repeated over the
// others.
Labels merged(const Rule& rule, SlotId input, size_t begin, size_t end) {
  const auto& labels = rule.labels(input);
  const auto& sizes = rule.sizes(input);
  size_t labelled = end;
  size_t count = 0;
  for (size_t d = begin; d < end; ++d) {
    if (labels[d].empty()) continue;
    labelled = d;
    ++count;
  }
  if (count != 1) {
    for (size_t d = begin; d < end; ++d) rule.analysis.fix(labels[d], rule.reason);
    return {};
  }
  int64_t outer = 1;
  int64_t inner = 1;
  for (size_t d = begin; d < labelled; ++d) outer *= sizes[d];
  for (size_t d = labelled + 1; d < end; ++d) inner *= sizes[d];
  Labels result;
  for (int64_t o = 0; o < outer; ++o) {
    for (const Atom atom : labels[labelled]) result.insert(result.end(), inner, atom);
  }
  return result;
}

}  // namespace

// Matches runs of dimensions with equal products before and after.
void reshapeRule(const Rule& rule) {
  const SlotId input = tensorArguments(rule.instruction).at(0);
  const auto& from = rule.sizes(input);
  const auto& to = rule.sizes(rule.result());
  std::vector<Labels> result(to.size());
  size_t i = 0;
  size_t j = 0;
  while (i < from.size() || j < to.size()) {
    const size_t iBegin = i;
    const size_t jBegin = j;
    int64_t before = i < from.size() ? from[i++] : 1;
    int64_t after = j < to.size() ? to[j++] : 1;
    while (before != after) {
      if (before < after) {
        if (i >= from.size()) return keepWhole(rule);
        before *= from[i++];
      } else {
        if (j >= to.size()) return keepWhole(rule);
        after *= to[j++];
      }
    }
    // Trailing dimensions of one belong to this run.
    while (i < from.size() && from[i] == 1 && (j >= to.size() || to[j] != 1)) ++i;
    while (j < to.size() && to[j] == 1 && (i >= from.size() || from[i] != 1)) ++j;
    size_t target = jBegin;
    size_t wide = 0;
    for (size_t d = jBegin; d < j; ++d) {
      if (to[d] == 1) continue;
      target = d;
      ++wide;
    }
    if (wide == 1) {
      result[target] = merged(rule, input, iBegin, i);
    } else {
      for (size_t d = iBegin; d < i; ++d) rule.analysis.fix(rule.labels(input)[d], rule.reason);
    }
  }
  rule.setResult(std::move(result));
}

}  // namespace torchsearch
