#include "core/graph/rules/rule.h"

namespace torchsearch {

void embeddingRule(const Rule& rule) {
  const auto& weight = rule.labels(rule.slot("weight"));
  rule.analysis.fix(weight.at(0), "its rows are looked up by index");
  std::vector<Labels> result(rule.sizes(rule.result()).size());
  result.back() = weight.at(1);
  rule.setResult(std::move(result));
}

}  // namespace torchsearch
