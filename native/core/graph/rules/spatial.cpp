#include "core/graph/rules/rule.h"

namespace torchsearch {

// Batch and channels pass; the dimensions that are resampled are no channels.
void spatialRule(const Rule& rule) {
  const SlotId input = tensorArguments(rule.instruction).at(0);
  const auto& in = rule.labels(input);
  const int64_t rank = rule.rank(input);
  if (rank < 3) return keepWhole(rule);
  std::vector<Labels> result(rank);
  for (int64_t d = 0; d < rank; ++d) {
    if (d < 2) {
      result[d] = in[d];
    } else {
      rule.analysis.fix(in[d], rule.reason);
    }
  }
  rule.setResult(std::move(result));
}

}  // namespace torchsearch
