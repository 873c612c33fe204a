#include <algorithm>
#include <utility>

#include "core/graph/rules/rule.h"

namespace torchsearch {

namespace {

Labels padded(const Labels& labels, int64_t size) {
  return labels.empty() ? Labels(static_cast<size_t>(size), kFixedAtom) : labels;
}

const char* const kCutByInputs = "it is cut by a size of the inputs";

// Whether pieces are cut by numbers that may differ at another shape of inputs. The node may be another way
// of cutting than the one that was recorded: what comes between its tensor and its dimension says how.
bool cutsByInputs(const Rule& rule) {
  const auto inputs = static_cast<int32_t>(rule.instruction.node->inputs().size());
  for (int32_t k = 1; k + 1 < inputs; ++k) {
    if (rule.analysis.varies(k)) return true;
  }
  return false;
}

}  // namespace

void concatenateRule(const Rule& rule) {
  const auto tensors = slotsIn({rule.argument("tensors")});
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
  const bool bySizes = rule.instruction.schema->name() == "aten::split_with_sizes";
  // Where all pieces are read, nothing is left over that other inputs reach.
  const auto all = tensorResults(rule.instruction);
  const bool leavesOver =
      std::any_of(all.begin(), all.end(), [&](SlotId piece) { return !rule.isRead(piece); });
  const bool varies = leavesOver && cutsByInputs(rule);
  if (varies) rule.analysis.fix(in[dim], kCutByInputs);
  std::vector<Labels> pieces;
  int64_t begin = 0;
  for (const SlotId result : tensorResults(rule.instruction)) {
    const int64_t size = rule.sizes(result)[dim];
    auto labels = in;
    if (varies) {
      labels[dim].clear();
    } else if (!in[dim].empty()) {
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

// Every n-th index, from the first n on to the end: the n that lie beside each other go together, so that
// what is left is cut in the same way. Other cuts with a step keep all places.
Labels everyNth(const Rule& rule, const Labels& own) {
  const auto size = static_cast<int64_t>(own.size());
  const int64_t step = rule.integer("step");
  const int64_t start = rule.isGiven("start") ? rule.wrap(rule.integer("start"), size) : 0;
  const bool toTheEnd = !rule.isGiven("end") || rule.integer("end") >= size;
  if (rule.varies("step") || start < 0 || start >= step || !toTheEnd) {
    rule.fixPlaces(own);
    return {};
  }
  Labels picked;
  for (int64_t i = 0; i < size; ++i) {
    rule.analysis.tie(own[i - i % step], own[i]);
    if (i % step == start) picked.push_back(own[i]);
  }
  return picked;
}

// slice, narrow: what is cut out keeps its channels, which change places only among themselves.
void sliceRule(const Rule& rule) {
  const SlotId input = rule.slot("self");
  const int64_t dim = rule.dimension("dim", rule.rank(input));
  auto labels = rule.labels(input);
  auto& own = labels.at(dim);
  const int64_t size = rule.sizes(input)[dim];
  const int64_t length = rule.sizes(rule.result()).at(dim);
  if (!own.empty() && (rule.varies("start") || rule.varies("end") || rule.varies("length"))) {
    // Other inputs reach other indices.
    rule.analysis.fix(own, kCutByInputs);
    own.clear();
  } else if (!own.empty() && length != size) {
    if (rule.takes("step") && rule.integer("step") != 1) {
      own = everyNth(rule, own);
    } else {
      const int64_t start = rule.isGiven("start") ? rule.wrap(rule.integer("start"), size) : 0;
      const auto begin = own.begin() + std::clamp<int64_t>(start, 0, size - length);
      const Labels within(begin, begin + length);
      rule.analysis.separate({Labels(own.begin(), begin), within, Labels(begin + length, own.end())});
      own = within;
    }
  }
  rule.setResult(std::move(labels));
}

void selectRule(const Rule& rule) {
  const SlotId input = rule.slot("self");
  const int64_t dim = rule.wrap(rule.integer("dim"), rule.rank(input));
  auto labels = rule.labels(input);
  rule.fixPlaces(labels[dim]);
  labels.erase(labels.begin() + dim);
  rule.setResult(std::move(labels));
}

}  // namespace torchsearch
