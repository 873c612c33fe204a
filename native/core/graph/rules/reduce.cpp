#include <unordered_set>

#include "core/graph/rules/rule.h"

namespace torchsearch {

void reduceRule(const Rule& rule) {
  const SlotId input = rule.slot("self");
  const int64_t rank = rule.rank(input);
  if (!rule.instruction.schema->argumentIndexWithName("dim").has_value()) return keepWhole(rule);
  const auto& value = rule.argument("dim").constant;
  std::vector<int64_t> dims;
  if (value.isIntList()) {
    dims = value.toIntVector();
  } else if (value.isInt()) {
    dims = {value.toInt()};
  } else {
    return keepWhole(rule);
  }
  std::unordered_set<int64_t> reduced;
  for (const int64_t dim : dims) reduced.insert(rule.wrap(dim, rank));
  const bool keep = rule.argument("keepdim").constant.toBool();
  std::vector<Labels> result;
  for (int64_t d = 0; d < rank; ++d) {
    if (reduced.count(d) == 0) {
      result.push_back(rule.labels(input)[d]);
    } else if (keep) {
      result.emplace_back();
    }
  }
  rule.setResult(std::move(result));
}

}  // namespace torchsearch
