#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/graph/dependency.h"

namespace torchsearch {

class DependencyAnalysis;

// A reshape that splits a dimension of channels into factors (heads and their width; the groups of a channel
// shuffle) must say which factor keeps the channels: the indices of the others then belong together. What
// decides is what happens to the factors later on, so the analysis asks one of these.
class FactorChoice {
 public:
  using Place = std::pair<int32_t, int32_t>;  // instruction, dimension of its argument

  virtual ~FactorChoice() = default;
  // The labels of each factor, outermost first; at most one of them is not empty, but for a survey.
  std::vector<Labels> split(DependencyAnalysis& analysis, const Labels& labels,
                            const std::vector<int64_t>& factors, Place place);
  virtual void contract(const Labels&, const Labels&) {}
  virtual void score(const Labels&) {}
  virtual void average(const Labels&) {}
  // Which of several labelled factors keeps its labels when they meet in one dimension. The others are fixed.
  // Nothing where none does.
  virtual std::optional<size_t> merge(DependencyAnalysis& analysis, const std::vector<Labels>& factors,
                                      const std::string& reason);

 protected:
  virtual std::vector<Labels> choose(DependencyAnalysis& analysis, const Labels& labels,
                                     const std::vector<int64_t>& factors, Place place) = 0;
};

struct FactorDecision {
  size_t factor = 0;
  bool isHeads = false;  // another factor is summed over by a product of activations
};
using FactorDecisions = std::map<FactorChoice::Place, FactorDecision>;

// Labels every factor with atoms of its own and sees what becomes of them.
class SurveyedFactors : public FactorChoice {
 public:
  void contract(const Labels& a, const Labels& b) override;
  void score(const Labels& labels) override;
  void average(const Labels& labels) override;
  // Every factor is labelled, so that two of them are no reason to fix any.
  std::optional<size_t> merge(DependencyAnalysis& analysis, const std::vector<Labels>& factors,
                              const std::string& reason) override;
  // A factor qualifies unless something needs it whole (heads' query, key and value, which are selected) or
  // a product of activations sums over it (a head's width), or one with a parameter that gives one number
  // (the scores of a graph attention's heads), unless an average is taken over another one. A factor that is
  // split again, as a head's width into pairs of a rotation, shares the fate of its parts. Splits that meet
  // later on choose alike. Of the factors that are left, the largest is taken.
  FactorDecisions decide(const DependencyAnalysis& analysis) const;

 protected:
  std::vector<Labels> choose(DependencyAnalysis& analysis, const Labels& labels,
                             const std::vector<int64_t>& factors, Place place) override;

 private:
  struct Split {
    Place place;
    Labels whole;  // what is split
    std::vector<Labels> factors;
  };
  std::vector<Split> splits_;
  std::vector<Atom> contracted_;
  std::vector<Atom> scored_;
  std::vector<Atom> averaged_;
};

class DecidedFactors : public FactorChoice {
 public:
  explicit DecidedFactors(FactorDecisions decisions) : decisions_(std::move(decisions)) {}

 protected:
  std::vector<Labels> choose(DependencyAnalysis& analysis, const Labels& labels,
                             const std::vector<int64_t>& factors, Place place) override;

 private:
  FactorDecisions decisions_;
};

// Chooses as the analysis of the same model at another input shape did.
class ReferenceFactors : public FactorChoice {
 public:
  explicit ReferenceFactors(const Dependencies& reference) : reference_(reference) {}
  std::optional<size_t> merge(DependencyAnalysis& analysis, const std::vector<Labels>& factors,
                              const std::string& reason) override;

 protected:
  std::vector<Labels> choose(DependencyAnalysis& analysis, const Labels& labels,
                             const std::vector<int64_t>& factors, Place place) override;

 private:
  const Dependencies& reference_;
};

}  // namespace torchsearch
