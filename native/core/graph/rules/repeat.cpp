#include <algorithm>
#include <utility>

#include "core/graph/rules/rule.h"

namespace torchsearch {

// repeat, tile: the whole tensor again and again along each dimension, aligned at the last.
void repeatRule(const Rule& rule) {
  const SlotId input = rule.slot("self");
  auto counts = rule.integers(rule.takes("repeats") ? "repeats" : "dims");
  const auto& in = rule.labels(input);
  while (counts.size() < in.size()) counts.insert(counts.begin(), 1);
  std::vector<Labels> result(counts.size());
  const size_t added = counts.size() - in.size();
  for (size_t d = 0; d < in.size(); ++d) {
    // One index may not vanish from under its copies.
    if (rule.sizes(input)[d] == 1) {
      rule.fix(in[d]);
      continue;
    }
    for (int64_t k = 0; k < counts[d + added]; ++k) {
      result[d + added].insert(result[d + added].end(), in[d].begin(), in[d].end());
    }
  }
  rule.setResult(std::move(result));
}

// Each index several times, one after the other.
void repeatInterleaveRule(const Rule& rule) {
  const SlotId input = rule.slot("self");
  auto labels = rule.labels(input);
  if (!rule.isGiven("dim")) return keepWhole(rule);
  const int64_t dim = rule.dimension("dim", rule.rank(input));
  auto& repeated = labels.at(dim);
  if (rule.has("repeats") || rule.isGiven("output_size")) {
    if (rule.has("repeats")) rule.analysis.fixSlot(rule.slot("repeats"), rule.reason);
    rule.fix(repeated);
    repeated.clear();
  } else {
    Labels each;
    for (const Atom atom : repeated) each.insert(each.end(), rule.integer("repeats"), atom);
    repeated = std::move(each);
  }
  rule.setResult(std::move(labels));
}

// Constant padding puts indices that are no channels beside those that are.
void padRule(const Rule& rule) {
  const SlotId input = rule.slot("self");
  auto labels = rule.labels(input);
  const auto rank = rule.rank(input);
  const auto pads = rule.integers(rule.takes("pad") ? "pad" : "padding");
  const bool constant = rule.name() == "aten::constant_pad_nd" ||
                        (rule.takes("mode") && rule.argument("mode").constant.toStringRef() == "constant");
  for (size_t k = 0; k + 1 < pads.size(); k += 2) {
    auto& own = labels.at(rank - 1 - static_cast<int64_t>(k) / 2);
    const int64_t before = pads[k];
    const int64_t after = pads[k + 1];
    if ((before == 0 && after == 0) || own.empty()) continue;
    if (constant && before >= 0 && after >= 0) {
      own.insert(own.begin(), before, kFixedAtom);
      own.insert(own.end(), after, kFixedAtom);
    } else {
      rule.fix(own);
      own.clear();
    }
  }
  rule.setResult(std::move(labels));
}

// Result k holds the indices of tensor k along dimension k.
void meshgridRule(const Rule& rule) {
  if (rule.takes("indexing") && rule.argument("indexing").constant.toStringRef() != "ij")
    return keepWhole(rule);
  std::vector<Labels> labels;
  for (const SlotId slot : tensorArguments(rule.instruction)) {
    labels.push_back(rule.rank(slot) == 0 ? Labels() : rule.labels(slot)[0]);
  }
  for (const SlotId slot : tensorResults(rule.instruction)) rule.setResult(slot, labels);
}

}  // namespace torchsearch
