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

void triangleRule(const Rule& rule) {
  const auto in = rule.labels(rule.slot("self"));
  rule.fix(in.at(in.size() - 1));
  rule.fix(in.at(in.size() - 2));
  rule.setResult(in);
}

}  // namespace torchsearch
