#include "core/graph/rules/rule.h"

namespace torchsearch {

// Result and arguments broadcast against each other, aligned at the last dimension.
void elementwiseRule(const Rule& rule) {
  const auto& out = rule.sizes(rule.result());
  const auto rank = static_cast<int64_t>(out.size());
  std::vector<Labels> result(out.size());
  const auto arguments = tensorArguments(rule.instruction);
  for (int64_t d = 0; d < rank; ++d) {
    const Labels* first = nullptr;
    bool whole = false;
    for (const SlotId slot : arguments) {
      const int64_t own = d - (rank - rule.rank(slot));
      if (own < 0 || rule.sizes(slot)[own] != out[d] || out[d] == 1) continue;
      const Labels& labels = rule.labels(slot)[own];
      if (labels.empty()) {
        whole = true;
      } else if (first == nullptr) {
        first = &labels;
      } else {
        rule.analysis.tie(*first, labels, rule.reason);
      }
    }
    if (first == nullptr) continue;
    result[d] = *first;
    if (whole)
      rule.analysis.fix(result[d],
                        "'" + rule.instruction.schema->name() + "' combines it with a whole tensor");
  }
  rule.setResult(std::move(result));
}

}  // namespace torchsearch
