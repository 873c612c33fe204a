#include "core/graph/rules/rule.h"

namespace torchsearch {

void elementwiseRule(const Rule& rule) {
  const auto results = tensorResults(rule.instruction);
  rule.setResults(rule.broadcast(tensorArguments(rule.instruction), rule.rank(results.at(0))));
}

void unaryRule(const Rule& rule) {
  rule.setResults(rule.labels(rule.input()));
}

void factoryRule(const Rule& rule) {
  for (const SlotId slot : tensorResults(rule.instruction)) {
    rule.labels(slot).assign(rule.sizes(slot).size(), Labels());
  }
}

void fillRule(const Rule& rule) {
  const SlotId result = rule.result();
  std::vector<Labels> labels(rule.sizes(result).size());
  for (size_t d = 0; d < labels.size(); ++d) {
    const int64_t size = rule.sizes(result)[d];
    if (size > 1 && !rule.elementVaries("size", static_cast<int64_t>(d))) {
      labels[d] = rule.analysis.fillerLabels(size);
    }
  }
  rule.setResult(std::move(labels));
}

void expandRule(const Rule& rule) {
  const SlotId input = rule.slot("self");
  const SlotId result = rule.result();
  const int64_t rank = rule.rank(result);
  auto labels = rule.broadcast({input}, rank);
  for (int64_t d = 0; d < rank; ++d) {
    const int64_t own = d - (rank - rule.rank(input));
    if (own >= 0 && rule.sizes(input)[own] != 1) continue;
    const int64_t size = rule.sizes(result)[d];
    if (size > 1 && !rule.elementVaries("size", d)) labels[d] = rule.analysis.fillerLabels(size);
  }
  rule.setResult(std::move(labels));
}

void triangleRule(const Rule& rule) {
  const auto in = rule.labels(rule.slot("self"));
  rule.fix(in.at(in.size() - 1));
  rule.fix(in.at(in.size() - 2));
  rule.setResult(in);
}

}  // namespace torchsearch
