#include <algorithm>
#include <iterator>
#include <utility>

#include "core/graph/rules/rule.h"

namespace torchsearch {

namespace {

// The labels of a matrix product: batches broadcast, a vector on the left is a row, one on the right a
// column.
std::vector<Labels> matrixProduct(const Rule& rule, SlotId left, SlotId right) {
  const int64_t leftRank = rule.rank(left);
  const int64_t rightRank = rule.rank(right);
  TORCH_CHECK(leftRank > 0 && rightRank > 0, "a product of scalars");
  rule.contract({left, leftRank - 1}, {right, std::max<int64_t>(rightRank - 2, 0)});
  const bool column = rightRank == 1 || rule.sizes(right)[rightRank - 1] == 1;
  if (column && rule.isWeight(right)) rule.analysis.score(rule.labels(left)[leftRank - 1]);
  std::vector<Labels> result;
  const int64_t batch = std::max<int64_t>(std::max(leftRank, rightRank) - 2, 0);
  for (int64_t d = 0; d < batch; ++d) {
    std::vector<Place> places;
    const int64_t inLeft = d - (batch - (leftRank - 2));
    const int64_t inRight = d - (batch - (rightRank - 2));
    if (leftRank > 2 && inLeft >= 0) places.push_back({left, inLeft});
    if (rightRank > 2 && inRight >= 0) places.push_back({right, inRight});
    result.push_back(rule.shared(places));
  }
  if (leftRank > 1) result.push_back(rule.labels(left)[leftRank - 2]);
  if (rightRank > 1) result.push_back(rule.labels(right)[rightRank - 1]);
  return result;
}

}  // namespace

void linearRule(const Rule& rule) {
  const SlotId input = rule.slot("input");
  const auto& weight = rule.labels(rule.slot("weight"));
  auto result = rule.labels(input);
  rule.shared({{input, rule.rank(input) - 1}, {rule.slot("weight"), rule.rank(rule.slot("weight")) - 1}});
  if (weight.size() == 1) {
    result.pop_back();
  } else {
    result.back() = weight.at(0);
    if (rule.has("bias")) rule.tieOnto(result, rule.slot("bias"));
  }
  rule.setResult(std::move(result));
}

void matmulRule(const Rule& rule) {
  const auto slots = tensorArguments(rule.instruction);
  rule.setResult(matrixProduct(rule, slots.at(0), slots.at(1)));
}

// addmm, addmv, baddbmm, addbmm: a product that a first argument is broadcast onto.
void addedProductRule(const Rule& rule) {
  const auto slots = tensorArguments(rule.instruction);
  auto product = matrixProduct(rule, slots.at(1), slots.at(2));
  if (rule.name() == "aten::addbmm" || rule.name() == "aten::addbmm_") {
    product.erase(product.begin());  // summed over the batch
  }
  rule.tieOnto(product, slots[0]);
  rule.setResult(std::move(product));
}

// cdist: the distance of each row of the one to each row of the other.
void distanceRule(const Rule& rule) {
  const SlotId left = rule.slot("x1");
  const SlotId right = rule.slot("x2");
  const int64_t rank = std::max(rule.rank(left), rule.rank(right));
  rule.contract({left, rule.rank(left) - 1}, {right, rule.rank(right) - 1});
  std::vector<Labels> result;
  for (int64_t d = 0; d + 2 < rank; ++d) {
    std::vector<Place> places;
    for (const SlotId slot : {left, right}) {
      const int64_t own = d - (rank - rule.rank(slot));
      if (own >= 0) places.push_back({slot, own});
    }
    result.push_back(rule.shared(places));
  }
  result.push_back(rule.labels(left)[rule.rank(left) - 2]);
  result.push_back(rule.labels(right)[rule.rank(right) - 2]);
  rule.setResult(std::move(result));
}

void outerRule(const Rule& rule) {
  const auto slots = tensorArguments(rule.instruction);
  rule.setResult({rule.labels(slots.at(0)).at(0), rule.labels(slots.at(1)).at(0)});
}

void chainRule(const Rule& rule) {
  const auto slots = tensorArguments(rule.instruction);
  for (size_t i = 0; i + 1 < slots.size(); ++i) {
    rule.shared({{slots[i], rule.rank(slots[i]) - 1}, {slots[i + 1], 0}});
  }
  std::vector<Labels> result;
  if (rule.rank(slots.front()) == 2) result.push_back(rule.labels(slots.front())[0]);
  if (rule.rank(slots.back()) == 2) result.push_back(rule.labels(slots.back())[1]);
  rule.setResult(std::move(result));
}

void tensordotRule(const Rule& rule) {
  const auto slots = tensorArguments(rule.instruction);
  const std::vector<int64_t> left = rule.dimensions("dims_self", rule.rank(slots.at(0)));
  const std::vector<int64_t> right = rule.dimensions("dims_other", rule.rank(slots.at(1)));
  for (size_t k = 0; k < left.size(); ++k) rule.contract({slots[0], left[k]}, {slots[1], right.at(k)});
  std::vector<Labels> result;
  const auto append = [&](SlotId slot, const std::vector<int64_t>& summed) {
    for (int64_t d = 0; d < rule.rank(slot); ++d) {
      if (std::find(summed.begin(), summed.end(), d) == summed.end()) {
        result.push_back(rule.labels(slot)[d]);
      }
    }
  };
  append(slots[0], left);
  append(slots[1], right);
  rule.setResult(std::move(result));
}

void bilinearRule(const Rule& rule) {
  const SlotId weight = rule.slot("weight");
  const SlotId first = rule.slot("input1");
  const SlotId second = rule.slot("input2");
  rule.shared({{first, rule.rank(first) - 1}, {weight, 1}});
  rule.shared({{second, rule.rank(second) - 1}, {weight, 2}});
  std::vector<Labels> result;
  for (int64_t d = 0; d + 1 < rule.rank(first); ++d) result.push_back(rule.shared({{first, d}, {second, d}}));
  result.push_back(rule.labels(weight).at(0));
  rule.tieVector("bias", result.back());
  rule.setResult(std::move(result));
}

}  // namespace torchsearch
