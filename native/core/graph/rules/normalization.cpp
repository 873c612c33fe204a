#include "core/graph/rules/rule.h"

namespace torchsearch {

void channelNormRule(const Rule& rule) {
  const auto in = rule.labels(rule.slot("input"));
  if (in.size() < 2) return keepWhole(rule);
  for (const char* name : {"weight", "bias", "running_mean", "running_var"}) rule.tieVector(name, in[1]);
  rule.setResult(in);
}

void groupNormRule(const Rule& rule) {
  const SlotId input = rule.slot("input");
  const auto in = rule.labels(input);
  const int64_t groups = rule.integer("num_groups");
  if (groups > 1 && !in[1].empty()) {
    const int64_t per = rule.sizes(input)[1] / groups;
    for (int64_t g = 0; g < groups; ++g) {
      for (int64_t k = 1; k < per; ++k) rule.analysis.tie(in[1][g * per], in[1][g * per + k]);
    }
  }
  rule.tieVector("weight", in[1]);
  rule.tieVector("bias", in[1]);
  rule.setResult(in);
}

void layerNormRule(const Rule& rule) {
  const auto in = rule.labels(rule.slot("input"));
  for (const char* name : {"weight", "bias"}) {
    if (!rule.has(name)) continue;
    const auto& vector = rule.labels(rule.slot(name));
    for (size_t d = 0; d < vector.size(); ++d) {
      rule.analysis.tie(vector[d], in[in.size() - vector.size() + d], rule.reason);
    }
  }
  rule.setResult(in);
}

void preluRule(const Rule& rule) {
  const auto in = rule.labels(rule.slot("self"));
  const SlotId weight = rule.slot("weight");
  if (rule.sizes(weight).size() == 1 && rule.sizes(weight)[0] > 1) {
    rule.analysis.tie(rule.labels(weight)[0], in[1], rule.reason);
  }
  rule.setResult(in);
}

}  // namespace torchsearch
