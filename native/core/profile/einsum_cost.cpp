#include "core/profile/einsum_cost.h"

#include <algorithm>
#include <array>
#include <map>
#include <string_view>

namespace torchsearch {

namespace {

// Subscripts are letters; an ellipsis' dimensions are numbered from the right: -1, -2, ...
using Subscript = int;

struct Dimension {
  DimensionReference reference;
  int64_t size = 1;
};
using Factor = std::map<Subscript, Dimension>;

std::vector<std::string> split(const std::string& inputs) {
  std::vector<std::string> parts(1);
  for (const char character : inputs) {
    if (character == ',') {
      parts.emplace_back();
    } else if (character != ' ') {
      parts.back() += character;
    }
  }
  return parts;
}

std::vector<Subscript> parse(std::string_view text, int64_t ellipsisRank) {
  std::vector<Subscript> subscripts;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '.') {
      for (int64_t d = ellipsisRank; d >= 1; --d) subscripts.push_back(static_cast<Subscript>(-d));
      i += 2;
    } else if (text[i] != ' ') {
      subscripts.push_back(text[i]);
    }
  }
  return subscripts;
}

// A repeated subscript takes a diagonal, so each stands once. Of broadcast dimensions the larger one counts.
void insert(Factor& factor, Subscript subscript, const Dimension& dimension) {
  const auto [found, added] = factor.emplace(subscript, dimension);
  if (!added && dimension.size > found->second.size) found->second = dimension;
}

std::vector<Subscript> impliedOutput(const std::vector<std::vector<Subscript>>& inputs) {
  std::map<Subscript, int> counts;
  for (const auto& input : inputs) {
    for (const Subscript subscript : input) ++counts[subscript];
  }
  std::vector<Subscript> output;
  for (const auto& [subscript, count] : counts) {
    if (subscript < 0 || count == 1) output.push_back(subscript);
  }
  return output;
}

bool contains(const std::vector<Subscript>& subscripts, Subscript subscript) {
  return std::find(subscripts.begin(), subscripts.end(), subscript) != subscripts.end();
}

// Contracts `left` and `right`; `kept` holds the subscripts that the output or a later operand needs.
Factor contract(const Factor& left, const Factor& right, const std::vector<Subscript>& kept,
                std::vector<CostTerm>& terms) {
  Factor result;
  CostTerm term;
  bool sums = false;
  for (const auto& [subscript, dimension] : left) {
    const auto other = right.find(subscript);
    if (contains(kept, subscript)) {
      insert(result, subscript, dimension);
    } else if (other != right.end() && dimension.size == other->second.size) {
      // Also over one element, which LibTorch multiplies without bmm: a width may be narrowed to it.
      sums = true;
      term.factors.push_back(dimension.reference);
    }  // else: summed in its own operand beforehand, at no multiply-adds
  }
  for (const auto& [subscript, dimension] : right) {
    if (contains(kept, subscript)) insert(result, subscript, dimension);
  }
  if (!sums) return result;
  for (const auto& [subscript, dimension] : result) term.factors.push_back(dimension.reference);
  terms.push_back(std::move(term));
  return result;
}

}  // namespace

std::vector<CostTerm> einsumTerms(const std::string& equation, const std::vector<Operand>& operands,
                                  const std::vector<int64_t>& path) {
  const size_t arrow = equation.find("->");
  const auto parts = split(equation.substr(0, arrow));
  std::vector<std::vector<Subscript>> subscripts;
  int64_t ellipsisRank = 0;
  for (size_t i = 0; i < operands.size(); ++i) {
    const auto letters =
        std::count_if(parts.at(i).begin(), parts.at(i).end(), [](char c) { return c != '.'; });
    const int64_t rank = operands[i].rank() - letters;
    ellipsisRank = std::max(ellipsisRank, rank);
    subscripts.push_back(parse(parts[i], rank));
  }
  const auto output = arrow == std::string::npos
                          ? impliedOutput(subscripts)
                          : parse(std::string_view(equation).substr(arrow + 2), ellipsisRank);
  std::vector<Factor> factors(operands.size());
  for (size_t i = 0; i < operands.size(); ++i) {
    for (size_t d = 0; d < subscripts[i].size(); ++d) {
      const auto dimension = static_cast<int64_t>(d);
      insert(factors[i], subscripts[i][d], {operands[i].at(dimension), operands[i].size(dimension)});
    }
  }

  std::vector<CostTerm> terms;
  for (size_t next = 0; factors.size() > 1; next += 2) {
    const bool planned = next + 1 < path.size();
    size_t first = planned ? static_cast<size_t>(path[next]) : 0;
    size_t second = planned ? static_cast<size_t>(path[next + 1]) : 1;
    if (first > second) std::swap(first, second);
    const Factor left = factors.at(first);
    const Factor right = factors.at(second);
    factors.erase(factors.begin() + static_cast<int64_t>(second));
    factors.erase(factors.begin() + static_cast<int64_t>(first));
    std::vector<Subscript> kept = output;
    for (const auto& later : factors) {
      for (const auto& entry : later) kept.push_back(entry.first);
    }
    Factor made = contract(left, right, kept, terms);
    // Without a path the running product stays in front; along a path it goes to the end.
    factors.insert(planned ? factors.end() : factors.begin(), std::move(made));
  }
  return terms;
}

}  // namespace torchsearch
