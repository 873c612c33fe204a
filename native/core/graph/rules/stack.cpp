#include <utility>

#include "core/graph/rules/rule.h"

namespace torchsearch {

// The new dimension counts the tensors.
void stackRule(const Rule& rule) {
  const auto tensors = tensorArguments(rule.instruction);
  const int64_t rank = rule.rank(tensors.at(0));
  std::vector<Labels> result;
  for (int64_t d = 0; d < rank; ++d) {
    std::vector<Place> places;
    for (const SlotId tensor : tensors) places.push_back({tensor, d});
    result.push_back(rule.shared(places));
  }
  result.insert(result.begin() + rule.dimension("dim", rank + 1), Labels());
  rule.setResult(std::move(result));
}

void unbindRule(const Rule& rule) {
  const SlotId input = rule.slot("self");
  auto labels = rule.labels(input);
  const int64_t dim = rule.dimension("dim", rule.rank(input));
  rule.fix(labels.at(dim));
  labels.erase(labels.begin() + dim);
  for (const SlotId slot : tensorResults(rule.instruction)) rule.setResult(slot, labels);
}

// The first half, gated by the second.
void gluRule(const Rule& rule) {
  const SlotId input = rule.slot("self");
  auto labels = rule.labels(input);
  auto& gated = labels.at(rule.dimension("dim", rule.rank(input)));
  const auto half = static_cast<int64_t>(gated.size()) / 2;
  const Labels value(gated.begin(), gated.begin() + half);
  const Labels gate(gated.begin() + half, gated.end());
  rule.analysis.separate({value, gate});
  rule.analysis.tie(value, gate, rule.reason);
  gated = value;
  rule.setResult(std::move(labels));
}

}  // namespace torchsearch
