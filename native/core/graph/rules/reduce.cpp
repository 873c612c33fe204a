#include <algorithm>
#include <utility>

#include "core/graph/rules/rule.h"

namespace torchsearch {

namespace {

// By dimension of the tensor, whether it is reduced: all of them where none is named.
std::vector<bool> reducedDimensions(const Rule& rule, int64_t rank) {
  std::vector<bool> reduced(rank, true);
  if (!rule.isGiven("dim")) return reduced;
  const auto dims = rule.dimensions("dim", rank);
  if (dims.empty()) return reduced;
  reduced.assign(rank, false);
  for (const int64_t dim : dims) reduced.at(dim) = true;
  return reduced;
}

std::vector<Labels> remaining(const Rule& rule, const std::vector<Labels>& in) {
  const auto reduced = reducedDimensions(rule, static_cast<int64_t>(in.size()));
  const bool keep = rule.takes("keepdim") && rule.boolean("keepdim");
  std::vector<Labels> result;
  for (size_t d = 0; d < in.size(); ++d) {
    if (!reduced[d]) {
      result.push_back(in[d]);
    } else if (keep) {
      result.emplace_back();
    }
  }
  return result;
}

void fixReduced(const Rule& rule) {
  const auto& in = rule.labels(rule.input());
  const auto reduced = reducedDimensions(rule, static_cast<int64_t>(in.size()));
  for (size_t d = 0; d < in.size(); ++d) {
    if (reduced[d]) rule.fixPlaces(in[d]);
  }
}

// Whether a tensor is a product with a parameter.
bool isWeighted(const Rule& rule, SlotId slot) {
  const Program& program = rule.analysis.program();
  const int32_t producer = program.slots[slot].producer;
  if (producer < 0) return false;
  const Instruction& maker = program.instructions[producer];
  if (maker.schema->name() != "aten::mul" && maker.schema->name() != "aten::multiply") return false;
  const auto factors = tensorArguments(maker);
  return std::any_of(factors.begin(), factors.end(), [&](SlotId factor) { return rule.isWeight(factor); });
}

}  // namespace

// A subnet's mean is that of the channels that it has, as in a layer norm.
void reduceRule(const Rule& rule) {
  const auto& in = rule.labels(rule.input());
  const bool scores = rule.name() == "aten::sum" && isWeighted(rule, rule.input());
  const auto reduced = reducedDimensions(rule, static_cast<int64_t>(in.size()));
  for (size_t d = 0; d < in.size(); ++d) {
    if (reduced[d] && scores) rule.analysis.score(in[d]);
    if (reduced[d] && rule.name() == "aten::mean") rule.analysis.average(in[d]);
  }
  rule.setResults(remaining(rule, rule.labels(rule.input())));
}

// The corrected variance of one channel is no number.
void varianceRule(const Rule& rule) {
  bool corrected = true;
  if (rule.takes("unbiased")) {
    corrected = rule.boolean("unbiased");
  } else if (rule.isGiven("correction")) {
    corrected = rule.argument("correction").constant.toScalar().toDouble() != 0;
  }
  if (corrected) fixReduced(rule);
  reduceRule(rule);
}

// max, min, median: elementwise, of all elements, or along a dimension, and then with the places, which have
// no meaning among fewer channels.
void extremumRule(const Rule& rule) {
  if (rule.has("other")) return elementwiseRule(rule);
  const auto results = tensorResults(rule.instruction);
  if (results.size() > 1 && rule.isRead(results[1])) fixReduced(rule);
  reduceRule(rule);
}

// argmax, argmin, kthvalue
void positionRule(const Rule& rule) {
  fixReduced(rule);
  reduceRule(rule);
}

void similarityRule(const Rule& rule) {
  const auto slots = tensorArguments(rule.instruction);
  const int64_t rank = std::max(rule.rank(slots.at(0)), rule.rank(slots.at(1)));
  rule.setResult(remaining(rule, rule.broadcast({slots[0], slots[1]}, rank)));
}

// cumsum, sort, topk, fft
void orderedRule(const Rule& rule) {
  auto in = rule.labels(rule.input());
  const auto rank = static_cast<int64_t>(in.size());
  const auto ordered = reducedDimensions(rule, rank);
  for (int64_t d = 0; d < rank; ++d) {
    if (!ordered[d]) continue;
    rule.fix(in[d]);
    in[d].clear();
  }
  rule.setResults(in);
}

}  // namespace torchsearch
