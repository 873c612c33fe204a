#include <algorithm>
#include <map>
#include <string>
#include <utility>

#include "core/graph/rules/rule.h"

namespace torchsearch {

namespace {

// Letters stand for themselves; an ellipsis' dimensions are numbered from the right: -1, -2, ...
using Subscript = int;

std::vector<Subscript> parse(const std::string& text, int64_t ellipsisRank) {
  std::vector<Subscript> subscripts;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '.') {
      for (int64_t d = ellipsisRank; d >= 1; --d) subscripts.push_back(static_cast<Subscript>(-d));
      i += 2;
    } else {
      subscripts.push_back(text[i]);
    }
  }
  return subscripts;
}

std::vector<std::string> operandsOf(const std::string& text) {
  std::vector<std::string> operands(1);
  for (const char character : text) {
    if (character == ',') {
      operands.emplace_back();
    } else {
      operands.back() += character;
    }
  }
  return operands;
}

using Places = std::map<Subscript, std::vector<Place>>;

// A weight that brings no dimension of its own to a product with an activation gives numbers, not features.
void noteScores(const Rule& rule, const Places& places, const std::vector<Subscript>& output) {
  for (const SlotId slot : tensorArguments(rule.instruction)) {
    if (!rule.isWeight(slot)) continue;
    const auto isOf = [&](const Place& place) { return place.slot == slot; };
    const bool own = std::any_of(places.begin(), places.end(), [&](const auto& entry) {
      return std::all_of(entry.second.begin(), entry.second.end(), isOf);
    });
    if (own) continue;
    for (const auto& [subscript, where] : places) {
      const bool summed = std::find(output.begin(), output.end(), subscript) == output.end();
      const Labels& labels = rule.labels(where[0].slot)[where[0].dimension];
      if (summed && std::any_of(where.begin(), where.end(), isOf)) rule.analysis.score(labels);
    }
  }
}

}  // namespace

// A letter that stands on several operands, or twice on one, is one dimension of all of them.
void einsumRule(const Rule& rule) {
  std::string equation = rule.argument("equation").constant.toStringRef();
  equation.erase(std::remove(equation.begin(), equation.end(), ' '), equation.end());
  const size_t arrow = equation.find("->");
  const auto texts = operandsOf(equation.substr(0, arrow));
  const auto slots = tensorArguments(rule.instruction);
  Places places;
  int64_t ellipsisRank = 0;
  for (size_t i = 0; i < slots.size(); ++i) {
    const auto& text = texts.at(i);
    const auto letters = std::count_if(text.begin(), text.end(), [](char c) { return c != '.'; });
    const int64_t rank = rule.rank(slots[i]) - letters;
    ellipsisRank = std::max(ellipsisRank, rank);
    const auto subscripts = parse(text, rank);
    for (size_t d = 0; d < subscripts.size(); ++d) {
      places[subscripts[d]].push_back({slots[i], static_cast<int64_t>(d)});
    }
  }
  std::vector<Subscript> output;
  if (arrow != std::string::npos) {
    output = parse(equation.substr(arrow + 2), ellipsisRank);
  } else {
    for (const auto& [subscript, where] : places) {
      if (subscript < 0 || where.size() == 1) output.push_back(subscript);
    }
  }
  std::map<Subscript, Labels> labels;
  for (const auto& [subscript, where] : places) labels[subscript] = rule.shared(where);
  for (const auto& [subscript, where] : places) {
    if (std::find(output.begin(), output.end(), subscript) != output.end()) continue;
    for (size_t k = 1; k < where.size(); ++k) rule.contract(where[0], where[k]);
  }
  noteScores(rule, places, output);
  std::vector<Labels> result;
  for (const Subscript subscript : output) result.push_back(labels.at(subscript));
  rule.setResult(std::move(result));
}

}  // namespace torchsearch
