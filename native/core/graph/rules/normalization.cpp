#include "core/graph/rules/rule.h"

namespace torchsearch {

// Operators that also give a mean and a deviation of each channel.
void channelNormRule(const Rule& rule) {
  const auto in = rule.labels(rule.slot("input"));
  if (in.size() < 2) return keepWhole(rule);
  for (const char* name : {"weight", "bias", "running_mean", "running_var"}) rule.tieVector(name, in[1]);
  const auto results = tensorResults(rule.instruction);
  rule.setResult(results.at(0), in);
  for (size_t k = 1; k < results.size(); ++k) {
    if (rule.sizes(results[k]) == std::vector<int64_t>{rule.sizes(rule.slot("input"))[1]}) {
      rule.setResult(results[k], {in[1]});
    }
  }
}

void groupNormRule(const Rule& rule) {
  const SlotId input = rule.slot("input");
  const auto in = rule.labels(input);
  const int64_t groups = rule.integer("num_groups");
  if (groups > 1 && !in.at(1).empty()) {
    const int64_t per = rule.sizes(input)[1] / groups;
    for (int64_t g = 0; g < groups; ++g) {
      for (int64_t k = 1; k < per; ++k) rule.analysis.tie(in[1][g * per], in[1][g * per + k]);
    }
    rule.analysis.markChannelGroups(in[1], per);
  }
  rule.tieVector("weight", in[1]);
  rule.tieVector("bias", in[1]);
  rule.setResult(in);
}

// layer_norm, rms_norm; native_layer_norm also gives mean and deviation, of size 1 in what is normalized.
void layerNormRule(const Rule& rule) {
  const SlotId input = rule.slot("input");
  const auto in = rule.labels(input);
  for (const char* name : {"weight", "bias"}) {
    if (rule.has(name)) rule.tieOnto(in, rule.slot(name));
  }
  const auto results = tensorResults(rule.instruction);
  rule.setResult(results.at(0), in);
  for (size_t k = 1; k < results.size(); ++k) {
    auto statistics = in;
    statistics.resize(rule.sizes(results[k]).size());
    for (size_t d = 0; d < statistics.size(); ++d) {
      if (rule.sizes(results[k])[d] == 1) statistics[d].clear();
    }
    rule.setResult(results[k], std::move(statistics));
  }
}

void preluRule(const Rule& rule) {
  const auto in = rule.labels(rule.slot("self"));
  const SlotId weight = rule.slot("weight");
  if (rule.rank(weight) == 1 && rule.sizes(weight)[0] > 1) {
    rule.analysis.tie(rule.labels(weight)[0], in.at(1), rule.reason);
  }
  rule.setResult(in);
}

// The norm is taken over all dimensions but one, and what is dropped there would scale up the rest; see
// space/weight_norms.
void weightNormRule(const Rule& rule) {
  const SlotId direction = rule.slot("v");
  const SlotId magnitude = rule.slot("g");
  const int64_t rank = rule.rank(direction);
  const int64_t kept = rule.dimension("dim", rank);
  if (rule.isActivation(direction) || rule.isActivation(magnitude)) {
    for (int64_t d = 0; d < rank; ++d) {
      if (d != kept || rule.integer("dim") == -1) rule.fix(rule.labels(direction)[d]);
    }
  }
  rule.setResult(rule.broadcast({direction, magnitude}, rank));
}

}  // namespace torchsearch
