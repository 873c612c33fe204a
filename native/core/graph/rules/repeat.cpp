#include <algorithm>
#include <utility>

#include "core/graph/rules/rule.h"

namespace torchsearch {

namespace {

// Copies of what has no channels are alike: each is one index that follows what it meets, `outer` times over,
// each `inner` times in a row.
Labels copies(const Rule& rule, int64_t count, int64_t outer, int64_t inner) {
  const Labels each = rule.analysis.fillerLabels(count);
  Labels labels;
  for (int64_t o = 0; o < outer; ++o) {
    for (const Atom atom : each) labels.insert(labels.end(), inner, atom);
  }
  return labels;
}

}  // namespace

// repeat, tile: the whole tensor again and again along each dimension, aligned at the last.
void repeatRule(const Rule& rule) {
  const SlotId input = rule.slot("self");
  const char* argument = rule.takes("repeats") ? "repeats" : "dims";
  auto counts = rule.integers(argument);
  const auto in = rule.labels(input);
  const size_t missing = in.size() > counts.size() ? in.size() - counts.size() : 0;
  counts.insert(counts.begin(), missing, 1);
  std::vector<Labels> result(counts.size());
  const size_t added = counts.size() - in.size();
  for (size_t r = 0; r < counts.size(); ++r) {
    const int64_t size = r < added ? 1 : rule.sizes(input)[r - added];
    const Labels own = r < added ? Labels() : in[r - added];
    // One index may not vanish from under its copies.
    if (size == 1) rule.fix(own);
    if (size != 1 && !own.empty()) {
      for (int64_t k = 0; k < counts[r]; ++k) result[r].insert(result[r].end(), own.begin(), own.end());
    } else if (counts[r] > 1 && !rule.elementVaries(argument, static_cast<int64_t>(r - missing))) {
      result[r] = copies(rule, counts[r], 1, size);
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
  } else if (repeated.empty() && rule.integer("repeats") > 1 && !rule.varies("repeats")) {
    repeated = copies(rule, rule.integer("repeats"), rule.sizes(input)[dim], 1);
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
