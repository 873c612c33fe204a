#include "core/graph/factor_choice.h"

#include <algorithm>
#include <optional>
#include <set>
#include <tuple>

#include "core/graph/dependency_analysis.h"

namespace torchsearch {

namespace {

int64_t innerSize(const std::vector<int64_t>& factors, size_t factor) {
  int64_t inner = 1;
  for (size_t f = factor + 1; f < factors.size(); ++f) inner *= factors[f];
  return inner;
}

int64_t indexAlong(const std::vector<int64_t>& factors, size_t factor, int64_t inner, int64_t index) {
  return index / inner % factors[factor];
}

// The factor along which alone `key` of the labels changes.
template <typename Key>
std::optional<size_t> onlyVarying(const Labels& labels, const std::vector<int64_t>& factors, const Key& key) {
  for (size_t f = 0; f < factors.size(); ++f) {
    const int64_t inner = innerSize(factors, f);
    bool alone = true;
    for (size_t i = 0; alone && i < labels.size(); ++i) {
      const int64_t k = indexAlong(factors, f, inner, static_cast<int64_t>(i));
      alone = key(labels[i]) == key(labels[k * inner]);
    }
    if (alone) return f;
  }
  return std::nullopt;
}

std::vector<Labels> tieAlong(DependencyAnalysis& analysis, const Labels& labels,
                             const std::vector<int64_t>& factors, size_t factor) {
  const int64_t inner = innerSize(factors, factor);
  std::vector<Labels> result(factors.size());
  for (int64_t k = 0; k < factors[factor]; ++k) result[factor].push_back(labels[k * inner]);
  for (size_t i = 0; i < labels.size(); ++i) {
    analysis.tie(result[factor][indexAlong(factors, factor, inner, static_cast<int64_t>(i))], labels[i]);
  }
  return result;
}

bool isFiller(const DependencyAnalysis& analysis, const Labels& labels) {
  return std::all_of(labels.begin(), labels.end(), [&](Atom atom) { return analysis.isFiller(atom); });
}

}  // namespace

std::vector<Labels> FactorChoice::split(DependencyAnalysis& analysis, const Labels& labels,
                                        const std::vector<int64_t>& factors, Place place) {
  if (labels.empty()) return std::vector<Labels>(factors.size());
  const auto known = onlyVarying(labels, factors, [&](Atom atom) { return analysis.find(atom); });
  if (known.has_value()) return tieAlong(analysis, labels, factors, *known);
  return choose(analysis, labels, factors, place);
}

// The largest that may be narrowed; what holds equal values follows any other.
std::optional<size_t> FactorChoice::merge(DependencyAnalysis& analysis, const std::vector<Labels>& factors,
                                          const std::string& reason) {
  using Rank = std::tuple<bool, bool, size_t>;
  const auto rank = [&](const Labels& labels) {
    const auto isFree = [&](Atom atom) { return !analysis.isFixed(atom); };
    return Rank(std::any_of(labels.begin(), labels.end(), isFree), !isFiller(analysis, labels),
                labels.size());
  };
  size_t best = 0;
  for (size_t f = 1; f < factors.size(); ++f) {
    if (rank(factors[f]) > rank(factors[best])) best = f;
  }
  for (size_t f = 0; f < factors.size(); ++f) {
    if (f != best) analysis.fix(factors[f], reason);
  }
  return std::get<0>(rank(factors[best])) ? std::optional(best) : std::nullopt;
}

std::optional<size_t> SurveyedFactors::merge(DependencyAnalysis& analysis, const std::vector<Labels>& factors,
                                             const std::string&) {
  std::optional<size_t> only;
  std::optional<size_t> filler;
  for (size_t f = 0; f < factors.size(); ++f) {
    if (factors[f].empty()) continue;
    if (isFiller(analysis, factors[f])) {
      if (!filler.has_value() || factors[f].size() > factors[*filler].size()) filler = f;
    } else if (only.has_value()) {
      return std::nullopt;
    } else {
      only = f;
    }
  }
  return only.has_value() ? only : filler;
}

void SurveyedFactors::contract(const Labels& a, const Labels& b) {
  contracted_.insert(contracted_.end(), a.begin(), a.end());
  contracted_.insert(contracted_.end(), b.begin(), b.end());
}

void SurveyedFactors::score(const Labels& labels) {
  scored_.insert(scored_.end(), labels.begin(), labels.end());
}

void SurveyedFactors::average(const Labels& labels) {
  averaged_.insert(averaged_.end(), labels.begin(), labels.end());
}

std::vector<Labels> SurveyedFactors::choose(DependencyAnalysis& analysis, const Labels& labels,
                                            const std::vector<int64_t>& factors, Place place) {
  Split split{place, labels, {}};
  for (const int64_t size : factors)
    split.factors.push_back(size > 1 ? analysis.freshLabels(size) : Labels());
  splits_.push_back(split);
  return split.factors;
}

FactorDecisions SurveyedFactors::decide(const DependencyAnalysis& analysis) const {
  const auto rootsOf = [&](const std::vector<Atom>& atoms) {
    std::set<Atom> roots;
    for (const Atom atom : atoms) roots.insert(analysis.find(atom));
    return roots;
  };
  const std::set<Atom> contracted = rootsOf(contracted_);
  const std::set<Atom> scored = rootsOf(scored_);
  const std::set<Atom> averaged = rootsOf(averaged_);
  std::set<Atom> taken;
  std::set<Atom> whole;
  const auto anyIn = [&](const Labels& labels, const std::set<Atom>& roots) {
    return std::any_of(labels.begin(), labels.end(),
                       [&](Atom atom) { return roots.count(analysis.find(atom)) > 0; });
  };
  std::map<Atom, std::set<const Split*>> splitsOf;
  for (const auto& split : splits_) {
    for (const Atom atom : split.whole) splitsOf[analysis.find(atom)].insert(&split);
  }
  // The splits of a factor, later on.
  const auto partsOf = [&](const Labels& labels) {
    std::set<const Split*> parts;
    for (const Atom atom : labels) {
      const auto found = splitsOf.find(analysis.find(atom));
      if (found != splitsOf.end()) parts.insert(found->second.begin(), found->second.end());
    }
    return parts;
  };
  const auto isStuck = [&](const Labels& labels) {
    // Single indices may be fixed, as the key's and value's heads beside several of queries.
    const auto isFree = [&](Atom atom) { return !analysis.isFixed(atom); };
    return anyIn(labels, whole) || std::count_if(labels.begin(), labels.end(), isFree) < 2;
  };
  const auto isFixed = [&](const Labels& labels) {
    const auto parts = partsOf(labels);
    return isStuck(labels) || std::any_of(parts.begin(), parts.end(), [&](const Split* part) {
             return std::all_of(part->factors.begin(), part->factors.end(), isStuck);
           });
  };
  const auto isSummed = [&](const Split& split, const Labels& labels) {
    const auto parts = partsOf(labels);
    const auto isPartSummed = std::any_of(parts.begin(), parts.end(), [&](const Split* part) {
      return std::any_of(part->factors.begin(), part->factors.end(),
                         [&](const Labels& factor) { return anyIn(factor, contracted); });
    });
    if (anyIn(labels, contracted) || isPartSummed) return true;
    return anyIn(labels, scored) && std::none_of(split.factors.begin(), split.factors.end(),
                                                 [&](const Labels& other) { return anyIn(other, averaged); });
  };
  // What speaks for a factor; compared in this order.
  using Rank = std::tuple<bool, bool, bool, size_t>;
  const auto rank = [&](const Split& split, const Labels& labels) {
    return Rank(!isFixed(labels), anyIn(labels, taken), !isSummed(split, labels), labels.size());
  };
  const auto candidates = [&](const Split& split) {
    return std::count_if(split.factors.begin(), split.factors.end(),
                         [&](const Labels& labels) { return !isFixed(labels) && !isSummed(split, labels); });
  };
  // Those with the fewest candidates decide first; the others join them where they meet.
  std::vector<const Split*> open;
  for (const auto& split : splits_) open.push_back(&split);
  FactorDecisions decisions;
  while (!open.empty()) {
    const auto urgency = [&](const Split* split) {
      const bool joins = std::any_of(split->factors.begin(), split->factors.end(), [&](const Labels& labels) {
        return anyIn(labels, taken) || anyIn(labels, whole);
      });
      return joins ? 0 : candidates(*split);
    };
    const auto next = std::min_element(
        open.begin(), open.end(), [&](const Split* a, const Split* b) { return urgency(a) < urgency(b); });
    const auto& factors = (*next)->factors;
    size_t best = 0;
    for (size_t f = 1; f < factors.size(); ++f) {
      if (rank(**next, factors[f]) > rank(**next, factors[best])) best = f;
    }
    bool isHeads = false;
    for (size_t f = 0; f < factors.size(); ++f) {
      isHeads = isHeads || (f != best && isSummed(**next, factors[f]));
      for (const Atom atom : factors[f]) (f == best ? taken : whole).insert(analysis.find(atom));
    }
    decisions[(*next)->place] = {best, isHeads};
    open.erase(next);
  }
  return decisions;
}

std::vector<Labels> DecidedFactors::choose(DependencyAnalysis& analysis, const Labels& labels,
                                           const std::vector<int64_t>& factors, Place place) {
  const auto found = decisions_.find(place);
  if (found == decisions_.end()) {
    analysis.fix(labels, "a reshape splits it in a way that is not understood");
    return std::vector<Labels>(factors.size());
  }
  auto result = tieAlong(analysis, labels, factors, found->second.factor);
  if (found->second.isHeads) analysis.markHeads(result[found->second.factor]);
  return result;
}

std::vector<Labels> ReferenceFactors::choose(DependencyAnalysis& analysis, const Labels& labels,
                                             const std::vector<int64_t>& factors, Place place) {
  std::optional<size_t> factor;
  if (std::all_of(labels.begin(), labels.end(), [&](Atom atom) { return analysis.isStored(atom); })) {
    factor = onlyVarying(labels, factors, [&](Atom atom) {
      const ClassPlace known = reference_.placeOf(analysis.find(atom));
      return std::pair(known.group, known.position);
    });
  } else {
    // What holds equal values has met no parameter yet.
    const auto* node = analysis.program().instructions[place.first].node;
    const auto found = reference_.factors_.find(std::pair(node, place.second));
    if (found != reference_.factors_.end() && found->second < factors.size()) factor = found->second;
  }
  if (factor.has_value()) return tieAlong(analysis, labels, factors, *factor);
  analysis.fix(labels, "a reshape splits it otherwise than at the dummy input's shape");
  return std::vector<Labels>(factors.size());
}

std::optional<size_t> ReferenceFactors::merge(DependencyAnalysis& analysis,
                                              const std::vector<Labels>& factors, const std::string& reason) {
  const auto varies = [&](Atom atom) {
    return analysis.isStored(atom) && reference_.placeOf(analysis.find(atom)).group != kNoGroup;
  };
  std::optional<size_t> found;
  for (size_t f = 0; f < factors.size(); ++f) {
    if (std::any_of(factors[f].begin(), factors[f].end(), varies) && !found.has_value()) found = f;
  }
  if (!found.has_value()) return FactorChoice::merge(analysis, factors, reason);
  for (size_t f = 0; f < factors.size(); ++f) {
    if (f != *found) analysis.fix(factors[f], reason);
  }
  return found;
}

}  // namespace torchsearch
