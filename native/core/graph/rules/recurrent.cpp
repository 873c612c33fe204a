#include "core/graph/rules/rule.h"

namespace torchsearch {

void recurrentRule(const Rule& rule) {
  Rule explained(rule);
  explained.reason = "'" + rule.name() + "' fuses its gates into one weight, which stays whole";
  keepWhole(explained);
}

}  // namespace torchsearch
