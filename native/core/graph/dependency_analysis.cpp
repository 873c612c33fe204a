#include "core/graph/dependency_analysis.h"

#include <algorithm>
#include <map>
#include <utility>

#include "core/graph/rules/rule.h"

namespace torchsearch {

namespace {

uint64_t mix(uint64_t a, uint64_t b) {
  uint64_t x = a * 0x9E3779B97F4A7C15ULL + b + 0x7F4A7C15ULL;
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9ULL;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EBULL;
  return x ^ (x >> 31);
}

}  // namespace

DependencyAnalysis::DependencyAnalysis(const Program& program, FactorChoice& factors)
    : program_(program), factors_(factors), parent_{kFixedAtom}, reason_{"it is not a parameter's channel"} {
  labels_.resize(program.slots.size());
  for (size_t i = 0; i < program.slots.size(); ++i) {
    const auto& slot = program.slots[i];
    labels_[i].resize(slot.sizes.size());
    if (!slot.isStored()) continue;
    for (size_t d = 0; d < slot.sizes.size(); ++d) {
      // A dimension of one may be broadcast against any other.
      if (slot.sizes[d] <= 1) continue;
      for (int64_t k = 0; k < slot.sizes[d]; ++k) {
        labels_[i][d].push_back(static_cast<Atom>(parent_.size()));
        parent_.push_back(static_cast<Atom>(parent_.size()));
      }
    }
  }
  reason_.resize(parent_.size());
}

void DependencyAnalysis::run(Branches branches) {
  isExecuted_.assign(parent_.size(), false);
  for (size_t i = 0; i < program_.instructions.size(); ++i) {
    if (program_.instructions[i].speculative) continue;
    for (const SlotId slot : tensorArguments(program_.instructions[i])) {
      if (!program_.slots[slot].isStored()) continue;
      for (const auto& labels : labels_[slot]) {
        for (const Atom atom : labels) isExecuted_[find(atom)] = true;
      }
    }
    apply(i);
  }
  forEachSlot(program_.output, [&](SlotId slot) { fixSlot(slot, "it is an output of the model"); });
  if (branches == Branches::kExecuted) return;
  size_t next = 0;
  for (size_t d = 0; d < program_.decisions.size(); ++d) {
    const Decision& decision = program_.decisions[d];
    const auto begin = static_cast<size_t>(decision.first);
    if (decision.instructions == 0 || begin < next) continue;  // nothing, or within the last one
    next = begin + static_cast<size_t>(decision.instructions);
    if (!tryBranch(begin, next)) givenUp_.push_back(static_cast<int32_t>(d));
  }
}

void DependencyAnalysis::apply(size_t instruction) {
  instruction_ = static_cast<int32_t>(instruction);
  applyDependencyRule(*this, program_.instructions[instruction]);
}

bool DependencyAnalysis::tryBranch(size_t begin, size_t end) {
  trial_.emplace();
  const size_t separations = separations_.size();
  const size_t heads = heads_.size();
  std::vector<std::pair<SlotId, std::vector<Labels>>> labels;
  for (size_t i = begin; i < end; ++i) {
    for (const SlotId slot : tensorResults(program_.instructions[i]))
      labels.emplace_back(slot, labels_[slot]);
  }
  for (size_t i = begin; i < end && !trial_->fixes; ++i) apply(i);
  const bool accepted = !trial_->fixes;
  if (!accepted) {
    for (auto change = trial_->ties.rbegin(); change != trial_->ties.rend(); ++change) {
      parent_[change->child] = change->child;
      isExecuted_[change->root] = change->rootWasExecuted;
    }
    for (const Atom atom : trial_->fixed) reason_[atom].clear();
    separations_.resize(separations);
    heads_.resize(heads);
    for (auto& [slot, before] : labels) labels_[slot] = std::move(before);
  }
  trial_.reset();
  return accepted;
}

void DependencyAnalysis::noteFix(Atom root) {
  if (!trial_.has_value()) return;
  trial_->fixed.push_back(root);
  trial_->fixes = trial_->fixes || isExecuted_[root];
}

Atom DependencyAnalysis::find(Atom atom) const {
  while (parent_[atom] != atom) {
    if (!trial_.has_value()) parent_[atom] = parent_[parent_[atom]];
    atom = parent_[atom];
  }
  return atom;
}

void DependencyAnalysis::tie(Atom a, Atom b) {
  if (a == kFixedAtom) return fix(b, reason_[kFixedAtom]);
  if (b == kFixedAtom) return fix(a, reason_[kFixedAtom]);
  const Atom first = find(a);
  const Atom second = find(b);
  if (first == second) return;
  // The smaller atom is the root, so that equal programs give equal roots.
  const auto [root, child] = std::minmax(first, second);
  if (trial_.has_value()) trial_->ties.push_back({root, child, isExecuted_[root]});
  if (reason_[root].empty() != reason_[child].empty()) noteFix(reason_[root].empty() ? root : child);
  if (reason_[root].empty()) reason_[root] = reason_[child];
  parent_[child] = root;
  isExecuted_[root] = isExecuted_[root] || isExecuted_[child];
}

void DependencyAnalysis::tie(const Labels& a, const Labels& b, const std::string& reason) {
  if (a.empty() && b.empty()) return;
  if (a.size() != b.size()) {
    fix(a, reason);
    fix(b, reason);
    return;
  }
  for (size_t i = 0; i < a.size(); ++i) tie(a[i], b[i]);
}

void DependencyAnalysis::fix(Atom atom, const std::string& reason) {
  if (atom == kFixedAtom) return;
  const Atom root = find(atom);
  if (!reason_[root].empty()) return;
  noteFix(root);
  reason_[root] = reason;
}

void DependencyAnalysis::fix(const Labels& labels, const std::string& reason) {
  for (const Atom atom : labels) fix(atom, reason);
}

void DependencyAnalysis::fixSlot(SlotId slot, const std::string& reason) {
  for (auto& labels : labels_[slot]) fix(labels, reason);
}

Labels DependencyAnalysis::freshLabels(int64_t size) {
  Labels fresh;
  for (int64_t i = 0; i < size; ++i) {
    fresh.push_back(static_cast<Atom>(parent_.size()));
    parent_.push_back(static_cast<Atom>(parent_.size()));
  }
  reason_.resize(parent_.size());
  isExecuted_.resize(parent_.size(), !trial_.has_value());
  return fresh;
}

std::vector<Labels> DependencyAnalysis::split(const Labels& labels, const std::vector<int64_t>& factors,
                                              int32_t dimension) {
  return factors_.split(*this, labels, factors, {instruction_, dimension});
}

void DependencyAnalysis::merge(const std::vector<Labels>& factors, const std::string& reason) {
  if (factors_.labelsAllFactors()) return;
  for (const auto& labels : factors) fix(labels, reason);
}

void DependencyAnalysis::contract(const Labels& a, const Labels& b, const std::string& reason) {
  factors_.contract(a, b);
  tie(a, b, reason);
}

void DependencyAnalysis::markHeads(const Labels& labels) {
  heads_.push_back(labels);
}

void DependencyAnalysis::separate(const std::vector<Labels>& pieces) {
  separations_.push_back(pieces);
}

void DependencyAnalysis::finish(Dependencies& dependencies) {
  dependencies.root_.resize(parent_.size());
  for (size_t i = 0; i < parent_.size(); ++i) dependencies.root_[i] = find(static_cast<Atom>(i));
  dependencies.place_.assign(parent_.size(), ClassPlace());
  group(dependencies);
  dependencies.givenUp_ = std::move(givenUp_);
  dependencies.reason_ = std::move(reason_);
  dependencies.labels_ = std::move(labels_);
}

// Two classes are interchangeable when each dimension of each parameter, and each piece of each concatenation
// or split, holds equally many indices of both.
void DependencyAnalysis::group(Dependencies& dependencies) {
  std::vector<uint64_t> signature(parent_.size(), 0);
  auto sign = [&](const Labels& labels, uint64_t place) {
    std::map<Atom, uint64_t> counts;
    for (const Atom atom : labels) ++counts[find(atom)];
    for (const auto& [root, count] : counts) signature[root] += mix(place, count);
  };
  uint64_t place = 1;
  for (size_t i = 0; i < program_.slots.size(); ++i) {
    if (!program_.slots[i].isStored()) continue;
    for (const auto& labels : labels_[i]) sign(labels, mix(1, place++));
  }
  for (const auto& pieces : separations_) {
    for (const auto& piece : pieces) sign(piece, mix(2, place++));
  }
  std::map<uint64_t, int32_t> groups;
  for (Atom atom = 1; atom < static_cast<Atom>(parent_.size()); ++atom) {
    if (find(atom) != atom || !reason_[atom].empty()) continue;
    const auto [entry, isNew] = groups.emplace(signature[atom], static_cast<int32_t>(groups.size()));
    if (isNew) dependencies.groupSizes_.push_back(0);
    dependencies.place_[atom] = {entry->second,
                                 static_cast<int32_t>(dependencies.groupSizes_[entry->second]++)};
  }
  dependencies.isHeads_.assign(groups.size(), false);
  for (const auto& labels : heads_) {
    for (const Atom atom : labels) {
      const ClassPlace place = dependencies.placeOf(atom);
      if (place.group != kNoGroup) dependencies.isHeads_[place.group] = true;
    }
  }
}

}  // namespace torchsearch
