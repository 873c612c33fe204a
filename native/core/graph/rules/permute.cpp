#include <algorithm>
#include <numeric>
#include <utility>

#include "core/graph/rules/rule.h"

namespace torchsearch {

namespace {

// The dimension of the argument at each dimension of the result.
std::vector<int64_t> movedDimensions(const std::vector<int64_t>& from, const std::vector<int64_t>& to,
                                     int64_t rank) {
  std::vector<int64_t> order(rank, -1);
  for (size_t k = 0; k < from.size(); ++k) order.at(to.at(k)) = from[k];
  int64_t next = 0;
  for (auto& place : order) {
    if (place >= 0) continue;
    while (std::find(from.begin(), from.end(), next) != from.end()) ++next;
    place = next++;
  }
  return order;
}

std::vector<int64_t> orderOf(const Rule& rule, int64_t rank) {
  const std::string name = rule.name().substr(std::string("aten::").size());
  if (name == "permute") return rule.dimensions("dims", rank);
  if (name == "movedim" || name == "moveaxis") {
    return movedDimensions(rule.dimensions("source", rank), rule.dimensions("destination", rank), rank);
  }
  std::vector<int64_t> order(rank);
  std::iota(order.begin(), order.end(), 0);
  if (name == "numpy_T") {
    std::reverse(order.begin(), order.end());
  } else if (rule.takes("dim0")) {
    if (rank > 0) std::swap(order.at(rule.dimension("dim0", rank)), order.at(rule.dimension("dim1", rank)));
  } else if (rule.takes("axis0")) {
    if (rank > 0) std::swap(order.at(rule.dimension("axis0", rank)), order.at(rule.dimension("axis1", rank)));
  } else if (rank >= 2) {  // t, mT, mH, adjoint
    std::swap(order[rank - 2], order[rank - 1]);
  }
  return order;
}

}  // namespace

void permuteRule(const Rule& rule) {
  const auto in = rule.labels(rule.slot("self"));
  std::vector<Labels> result;
  for (const int64_t dimension : orderOf(rule, static_cast<int64_t>(in.size()))) {
    result.push_back(in.at(dimension));
  }
  rule.setResult(std::move(result));
}

void complexViewRule(const Rule& rule) {
  auto labels = rule.labels(rule.input());
  if (rule.rank(rule.result()) > rule.rank(rule.input())) {
    labels.emplace_back();
  } else {
    rule.fix(labels.back());
    labels.pop_back();
  }
  rule.setResult(std::move(labels));
}

void flipRule(const Rule& rule) {
  auto in = rule.labels(rule.slot("self"));
  for (const int64_t d : rule.dimensions("dims", static_cast<int64_t>(in.size()))) {
    std::reverse(in.at(d).begin(), in.at(d).end());
  }
  rule.setResult(std::move(in));
}

void rollRule(const Rule& rule) {
  const SlotId input = rule.slot("self");
  const auto in = rule.labels(input);
  const auto shifts = rule.integers("shifts");
  const auto dims = rule.dimensions("dims", rule.rank(input));
  // Without dimensions the tensor is rolled as one row.
  if (dims.empty()) return keepWhole(rule);
  for (size_t k = 0; k < dims.size(); ++k) {
    if (shifts.at(k) != 0) rule.fix(in.at(dims[k]));
  }
  rule.setResult(in);
}

}  // namespace torchsearch
