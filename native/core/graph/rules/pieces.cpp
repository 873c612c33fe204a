#include "core/graph/rules/rule.h"

namespace torchsearch {

namespace {

Labels padded(const Labels& labels, int64_t size) {
  return labels.empty() ? Labels(static_cast<size_t>(size), kFixedAtom) : labels;
}

}  // namespace

void concatenateRule(const Rule& rule) {
  std::vector<SlotId> tensors;
  collectSlots(rule.argument("tensors"), tensors);
  const int64_t rank = rule.rank(rule.result());
  const int64_t dim = rule.wrap(rule.integer("dim"), rank);
  std::vector<Labels> result(rank);
  bool labelled = false;
  std::vector<Labels> pieces;
  for (const SlotId tensor : tensors) {
    if (rule.rank(tensor) != rank) return keepWhole(rule);
    pieces.push_back(padded(rule.labels(tensor)[dim], rule.sizes(tensor)[dim]));
    labelled = labelled || !rule.labels(tensor)[dim].empty();
    result[dim].insert(result[dim].end(), pieces.back().begin(), pieces.back().end());
    for (int64_t d = 0; d < rank; ++d) {
      if (d == dim || rule.sizes(tensor)[d] <= 1) continue;
      if (tensor == tensors[0]) {
        result[d] = rule.labels(tensor)[d];
      } else {
        rule.analysis.tie(result[d], rule.labels(tensor)[d], rule.reason);
      }
    }
  }
  if (labelled) {
    rule.analysis.separate(pieces);
  } else {
    result[dim].clear();
  }
  rule.setResult(std::move(result));
}

// chunk, split, split_with_sizes: pieces of one call that are cut by a common size keep equal widths.
void splitRule(const Rule& rule) {
  const SlotId input = rule.slot("self");
  const auto in = rule.labels(input);
  const int64_t dim = rule.wrap(rule.integer("dim"), rule.rank(input));
  std::vector<SlotId> results;
  for (const auto& tree : rule.instruction.results) collectSlots(tree, results);
  const bool bySizes = rule.instruction.schema->name() == "aten::split_with_sizes";
  std::vector<Labels> pieces;
  int64_t begin = 0;
  for (const SlotId result : results) {
    const int64_t size = rule.sizes(result)[dim];
    auto labels = in;
    if (!in[dim].empty()) {
      labels[dim] = Labels(in[dim].begin() + begin, in[dim].begin() + begin + size);
      pieces.push_back(labels[dim]);
    }
    rule.labels(result) = std::move(labels);
    begin += size;
  }
  if (pieces.empty()) return;
  rule.analysis.separate(pieces);
  if (bySizes) return;
  for (size_t k = 1; k < pieces.size(); ++k) rule.analysis.tie(pieces[0], pieces[k], rule.reason);
}

void sliceRule(const Rule& rule) {
  const SlotId input = rule.slot("self");
  const int64_t dim = rule.wrap(rule.integer("dim"), rule.rank(input));
  auto labels = rule.labels(input);
  if (rule.sizes(input)[dim] != rule.sizes(rule.result())[dim]) {
    rule.analysis.fix(labels[dim], rule.reason);
    labels[dim].clear();
  }
  rule.setResult(std::move(labels));
}

void selectRule(const Rule& rule) {
  const SlotId input = rule.slot("self");
  const int64_t dim = rule.wrap(rule.integer("dim"), rule.rank(input));
  auto labels = rule.labels(input);
  rule.analysis.fix(labels[dim], rule.reason);
  labels.erase(labels.begin() + dim);
  rule.setResult(std::move(labels));
}

}  // namespace torchsearch
