#include <algorithm>
#include <utility>

#include "core/graph/constant_indices.h"
#include "core/graph/rules/rule.h"

namespace torchsearch {

namespace {

bool isMask(const Rule& rule, SlotId slot) {
  const auto dtype = rule.analysis.program().slots[slot].dtype;
  return dtype == at::kBool || dtype == at::kByte;
}

// Of activations, the channels at constant places stay, and the others may go from between them: the single
// index tensor is a vector of such places. Whether that is so.
bool picked(const Rule& rule, std::vector<Labels>& result) {
  const SlotId self = rule.slot("self");
  const auto& indices = rule.argument("indices").children;
  if (rule.isWeight(self) || slotsIn(indices).size() != 1) return false;
  const auto place =
      std::find_if(indices.begin(), indices.end(), [](const auto& tree) { return tree.isSlot(); });
  const auto numbers = constantIndices(rule.analysis.program(), place->slot);
  if (!numbers.has_value()) return false;
  result = rule.labels(self);
  auto& own = result.at(place - indices.begin());
  if (own.empty()) return true;
  Labels kept;
  for (const int64_t number : *numbers)
    kept.push_back(own.at(rule.wrap(number, static_cast<int64_t>(own.size()))));
  rule.fix(kept);
  own = std::move(kept);
  return true;
}

// The labels of self[indices]. Indexed dimensions, whose indices have a meaning, are fixed; those of the
// index tensors, broadcast against each other, take the place of the first one, or the front where the
// indexed ones don't stand side by side.
std::vector<Labels> indexed(const Rule& rule) {
  const auto& in = rule.labels(rule.slot("self"));
  std::vector<Labels> result;
  std::vector<SlotId> indices;
  bool masked = false;
  size_t place = 0;
  bool sideBySide = true;
  bool lastIndexed = false;
  size_t next = 0;
  for (const auto& index : rule.argument("indices").children) {
    if (!index.isSlot()) {
      result.push_back(in.at(next++));
      lastIndexed = false;
      continue;
    }
    if (indices.empty()) {
      place = result.size();
    } else if (!lastIndexed) {
      sideBySide = false;
    }
    lastIndexed = true;
    indices.push_back(index.slot);
    const bool mask = isMask(rule, index.slot);
    masked = masked || mask;
    const int64_t count = mask ? rule.rank(index.slot) : 1;
    for (int64_t k = 0; k < count; ++k) rule.fix(in.at(next++));
  }
  while (next < in.size()) result.push_back(in[next++]);
  std::vector<Labels> looked;
  if (masked) {
    // How many are selected is known only when it runs.
    for (const SlotId slot : indices) rule.analysis.fixSlot(slot, rule.reason);
    looked.emplace_back();
  } else {
    int64_t rank = 0;
    for (const SlotId slot : indices) rank = std::max(rank, rule.rank(slot));
    looked = rule.broadcast(indices, rank);
  }
  result.insert(result.begin() + static_cast<int64_t>(sideBySide ? place : 0), looked.begin(), looked.end());
  return result;
}

}  // namespace

void indexRule(const Rule& rule) {
  std::vector<Labels> result;
  rule.setResult(picked(rule, result) ? result : indexed(rule));
}

void indexPutRule(const Rule& rule) {
  rule.tieOnto(indexed(rule), rule.slot("values"));
  rule.setResult(rule.labels(rule.slot("self")));
}

void indexSelectRule(const Rule& rule) {
  const SlotId input = rule.slot("self");
  const SlotId index = rule.slot("index");
  auto labels = rule.labels(input);
  auto& selected = labels.at(rule.dimension("dim", rule.rank(input)));
  rule.fix(selected);
  selected = rule.rank(index) == 0 ? Labels() : rule.labels(index)[0];
  rule.setResult(std::move(labels));
}

// gather, take_along_dim: the other dimensions run along each other, where they are of the same size.
void gatherRule(const Rule& rule) {
  const SlotId input = rule.slot("self");
  const SlotId index = rule.slot(rule.takes("index") ? "index" : "indices");
  if (!rule.isGiven("dim") || rule.rank(index) != rule.rank(input)) return keepWhole(rule);
  const int64_t rank = rule.rank(input);
  const int64_t dim = rule.dimension("dim", rank);
  std::vector<Labels> result(rank);
  for (int64_t d = 0; d < rank; ++d) {
    if (d == dim) {
      rule.fix(rule.labels(input)[d]);
      result[d] = rule.labels(index)[d];
    } else {
      // gather reads the first indices of a larger dimension; take_along_dim broadcasts.
      if (rule.takes("index") && rule.sizes(index)[d] != rule.sizes(input)[d]) return keepWhole(rule);
      result[d] = rule.shared({{input, d}, {index, d}});
    }
  }
  rule.setResult(std::move(result));
}

// scatter, scatter_add, index_add, index_copy, index_fill: what is written runs along the other dimensions.
void scatterRule(const Rule& rule) {
  const SlotId input = rule.slot("self");
  const auto in = rule.labels(input);
  const int64_t rank = rule.rank(input);
  const int64_t dim = rule.dimension("dim", rank);
  auto written = tensorArguments(rule.instruction);
  written.erase(written.begin());
  for (const SlotId slot : written) {
    if (rule.rank(slot) != rank) {
      rule.analysis.fixSlot(slot, rule.reason);
      continue;
    }
    for (int64_t d = 0; d < rank; ++d) {
      if (d != dim && rule.sizes(slot)[d] != rule.sizes(input)[d]) return keepWhole(rule);
    }
  }
  for (int64_t d = 0; d < rank; ++d) {
    std::vector<Place> places = {{input, d}};
    for (const SlotId slot : written) {
      if (rule.rank(slot) == rank) places.push_back({slot, d});
    }
    for (const auto& place : places) {
      if (d == dim) rule.fix(rule.labels(place.slot)[d]);
    }
    if (d != dim) rule.shared(places);
  }
  rule.setResult(in);
}

void embeddingRule(const Rule& rule) {
  const auto& weight = rule.labels(rule.slot("weight"));
  rule.analysis.fix(weight.at(0), "its rows are looked up by index");
  auto result = rule.labels(rule.slot("indices"));
  result.push_back(weight.at(1));
  rule.setResult(std::move(result));
}

// Sums, means or maxima of rows; of the further results only the maxima's places have features.
void embeddingBagRule(const Rule& rule) {
  const auto features = rule.labels(rule.slot("weight")).at(1);
  const auto results = tensorResults(rule.instruction);
  rule.analysis.fix(rule.labels(rule.slot("weight"))[0], "its rows are looked up by index");
  for (const SlotId slot : tensorArguments(rule.instruction)) {
    if (slot != rule.slot("weight")) rule.analysis.fixSlot(slot, rule.reason);
  }
  for (const SlotId slot : results) {
    std::vector<Labels> labels(rule.sizes(slot).size());
    if (labels.size() == 2) labels[1] = features;
    rule.setResult(slot, std::move(labels));
  }
}

}  // namespace torchsearch
