#include <algorithm>
#include <set>

#include "core/graph/rules/rule.h"

namespace torchsearch {

namespace {

// A run of dimensions before and after with equal products, and the factors that both are products of.
class Run {
 public:
  Run(const Rule& rule, SlotId input, size_t fromBegin, size_t fromEnd, size_t toBegin, size_t toEnd)
      : rule_(rule),
        input_(input),
        fromBegin_(fromBegin),
        fromEnd_(fromEnd),
        toBegin_(toBegin),
        toEnd_(toEnd) {}

  void pass(std::vector<Labels>& result) {
    if (!findFactors()) return keep();
    splitDimensions();
    mergeFactors(result);
  }

 private:
  const std::vector<int64_t>& from() const { return rule_.sizes(input_); }
  const std::vector<int64_t>& to() const { return rule_.sizes(rule_.result()); }

  void keep() {
    for (size_t d = fromBegin_; d < fromEnd_; ++d) rule_.analysis.fix(rule_.labels(input_)[d], rule_.reason);
  }

  // Sizes of the factors, innermost first, or false where a boundary of one side divides no factor evenly.
  bool findFactors() {
    std::set<int64_t> boundaries;
    const auto addBoundaries = [&](const std::vector<int64_t>& sizes, size_t begin, size_t end) {
      int64_t product = 1;
      for (size_t d = end; d > begin; --d) boundaries.insert(product *= sizes[d - 1]);
    };
    addBoundaries(from(), fromBegin_, fromEnd_);
    addBoundaries(to(), toBegin_, toEnd_);
    boundaries.erase(1);
    int64_t last = 1;
    for (const int64_t boundary : boundaries) {
      if (last == 0 || boundary % last != 0) return false;
      factors_.push_back(boundary / last);
      last = boundary;
    }
    std::reverse(factors_.begin(), factors_.end());
    labels_.resize(factors_.size());
    return true;
  }

  // The factors that make up a dimension, the outermost of those not used yet being `next`.
  size_t factorsEnd(size_t next, int64_t size) const {
    int64_t product = 1;
    while (product < size) product *= factors_[next++];
    return next;
  }

  void splitDimensions() {
    size_t next = 0;
    for (size_t d = fromBegin_; d < fromEnd_; ++d) {
      const size_t end = factorsEnd(next, from()[d]);
      const Labels labels = rule_.labels(input_)[d];
      if (end == next + 1) {
        labels_[next] = labels;
      } else if (end > next) {
        const std::vector<int64_t> sizes(factors_.begin() + next, factors_.begin() + end);
        auto parts = rule_.analysis.split(labels, sizes, static_cast<int32_t>(d));
        std::move(parts.begin(), parts.end(), labels_.begin() + next);
      }
      next = end;
    }
  }

  void mergeFactors(std::vector<Labels>& result) const {
    size_t next = 0;
    for (size_t d = toBegin_; d < toEnd_; ++d) {
      const size_t end = factorsEnd(next, to()[d]);
      result[d] = merged(next, end);
      next = end;
    }
  }

  // Labels of the single labelled factor, repeated over the others.
  Labels merged(size_t begin, size_t end) const {
    const std::vector<Labels> factors(labels_.begin() + begin, labels_.begin() + end);
    const auto isLabelled = [](const Labels& labels) { return !labels.empty(); };
    const auto count = std::count_if(factors.begin(), factors.end(), isLabelled);
    if (count == 0) return {};
    size_t labelled = begin + (std::find_if(factors.begin(), factors.end(), isLabelled) - factors.begin());
    if (count > 1) {
      const auto kept = rule_.analysis.merge(factors, rule_.reason);
      if (!kept.has_value()) return {};
      labelled = begin + *kept;
    }
    int64_t outer = 1;
    int64_t inner = 1;
    for (size_t f = begin; f < end; ++f) {
      if (f != labelled) (f < labelled ? outer : inner) *= factors_[f];
    }
    Labels result;
    for (int64_t o = 0; o < outer; ++o) {
      for (const Atom atom : labels_[labelled]) result.insert(result.end(), inner, atom);
    }
    return result;
  }

  const Rule& rule_;
  SlotId input_;
  size_t fromBegin_;
  size_t fromEnd_;
  size_t toBegin_;
  size_t toEnd_;
  std::vector<int64_t> factors_;  // outermost first
  std::vector<Labels> labels_;    // by factor
};

}  // namespace

void reshapeRule(const Rule& rule) {
  const SlotId input = tensorArguments(rule.instruction).at(0);
  const auto& from = rule.sizes(input);
  const auto& to = rule.sizes(rule.result());
  if (std::count(from.begin(), from.end(), 0) > 0) return keepWhole(rule);
  std::vector<Labels> result(to.size());
  size_t i = 0;
  size_t j = 0;
  while (i < from.size() || j < to.size()) {
    const size_t iBegin = i;
    const size_t jBegin = j;
    int64_t before = i < from.size() ? from[i++] : 1;
    int64_t after = j < to.size() ? to[j++] : 1;
    while (before != after) {
      if (before < after) {
        if (i >= from.size()) return keepWhole(rule);
        before *= from[i++];
      } else {
        if (j >= to.size()) return keepWhole(rule);
        after *= to[j++];
      }
    }
    Run(rule, input, iBegin, i, jBegin, j).pass(result);
  }
  rule.setResult(std::move(result));
}

}  // namespace torchsearch
