#include <utility>

#include "core/graph/rules/rule.h"

namespace torchsearch {

namespace {

// Several query heads read one key and value head, which stands for all of them.
void tieSharedHeads(const Rule& rule, const Labels& queries, const Labels& keys) {
  if (queries.empty() || keys.empty()) {
    rule.fix(queries);
    rule.fix(keys);
    return;
  }
  const size_t per = queries.size() / keys.size();
  for (size_t h = 0; h < queries.size(); ++h) rule.analysis.tie(keys.at(h / per), queries[h]);
}

}  // namespace

void attentionRule(const Rule& rule) {
  const SlotId query = rule.slot("query");
  const SlotId key = rule.slot("key");
  const SlotId value = rule.slot("value");
  const int64_t rank = rule.rank(query);
  if (rank < 2 || rule.rank(key) != rank || rule.rank(value) != rank) return keepWhole(rule);
  rule.contract({query, rank - 1}, {key, rank - 1});
  if (!rule.isGiven("scale")) {
    rule.analysis.fix(rule.labels(query)[rank - 1], "'" + rule.name() + "' scales by its size");
  }
  rule.shared({{key, rank - 2}, {value, rank - 2}});
  if (rule.takes("is_causal") && rule.boolean("is_causal")) {
    rule.fix(rule.labels(query)[rank - 2]);
    rule.fix(rule.labels(key)[rank - 2]);
  }
  std::vector<Labels> result(rank);
  for (int64_t d = 0; d < rank - 2; ++d) {
    const bool heads = d == rank - 3 && rule.takes("enable_gqa") && rule.boolean("enable_gqa") &&
                       rule.sizes(query)[d] != rule.sizes(key)[d];
    if (heads) {
      result[d] = rule.labels(query)[d];
      rule.shared({{key, d}, {value, d}});
      tieSharedHeads(rule, result[d], rule.labels(key)[d]);
    } else {
      result[d] = rule.shared({{query, d}, {key, d}, {value, d}});
    }
  }
  result[rank - 2] = rule.labels(query)[rank - 2];
  result[rank - 1] = rule.labels(value)[rank - 1];
  if (rule.has("attn_mask")) {
    auto weights = result;
    weights[rank - 1] = rule.labels(key)[rank - 2];
    rule.tieOnto(weights, rule.slot("attn_mask"));
  }
  const auto results = tensorResults(rule.instruction);
  rule.setResult(results.at(0), result);
  if (results.size() < 2) return;
  // Either the weights, or the logarithm of their sum over the keys.
  if (rule.rank(results[1]) == rank) {
    result[rank - 1] = rule.labels(key)[rank - 2];
  } else {
    result.pop_back();
  }
  rule.setResult(results[1], std::move(result));
}

}  // namespace torchsearch
