#include <utility>

#include "core/graph/rules/rule.h"

namespace torchsearch {

void permuteRule(const Rule& rule) {
  const SlotId input = rule.slot("self");
  const auto in = rule.labels(input);
  const int64_t rank = rule.rank(input);
  std::vector<Labels> result(in.size());
  const std::string name = rule.instruction.schema->name();
  if (name == "aten::permute") {
    const auto dims = rule.argument("dims").constant.toIntVector();
    for (int64_t d = 0; d < rank; ++d) result[d] = in[rule.wrap(dims[d], rank)];
  } else {
    result = in;
    if (rank >= 2) {
      const bool plain = name == "aten::t" || name == "aten::t_";
      std::swap(result[rule.wrap(plain ? 0 : rule.integer("dim0"), rank)],
                result[rule.wrap(plain ? 1 : rule.integer("dim1"), rank)]);
    }
  }
  rule.setResult(std::move(result));
}

}  // namespace torchsearch
