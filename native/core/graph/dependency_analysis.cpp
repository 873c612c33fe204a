#include "core/graph/dependency_analysis.h"

#include <algorithm>
#include <map>
#include <utility>

#include "core/graph/branch_outputs.h"
#include "core/graph/fixed_branches.h"
#include "core/graph/rules/rule.h"
#include "core/graph/unread_results.h"

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
    : program_(program),
      factors_(factors),
      parent_{kFixedAtom},
      reason_{"it is not a parameter's channel"},
      unread_(unreadInstructions(program)),
      numbers_([this](const torch::jit::Node* size, std::optional<int64_t> dimension) {
        return sizeVaries(size, dimension);
      }) {
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
  storedAtoms_ = static_cast<Atom>(parent_.size());
  reason_.resize(parent_.size());
  isFiller_.assign(parent_.size(), false);
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
  fixesUnexecuted_ = true;
  const FixedBranches fixed(program_.graph->graph());
  for (size_t d = 0; d < program_.decisions.size();) {
    const Decision& decision = program_.decisions[d];
    const size_t next = d + 1 + static_cast<size_t>(decision.decisions);
    if (decision.instructions > 0 || !decision.other.empty()) {
      const auto* condition = decision.node->inputs()[0];
      if (!tryBranch(d, numbers_.varies(condition))) {
        givenUp_.push_back(static_cast<int32_t>(d));
      } else if (!fixed.isFixed(decision.node->inputs()[0])) {
        for (size_t inner = d; inner < next; ++inner) fixReturned(program_.decisions[inner]);
      }
    }
    d = next;
  }
}

bool DependencyAnalysis::sizeVaries(const torch::jit::Node* size, std::optional<int64_t> dimension) const {
  const auto found = program_.sized.find(size);
  if (found == program_.sized.end()) return true;
  const auto mayDiffer = [&](SlotId slot, int64_t d) {
    return !program_.slots[slot].isStored() && labels_[slot][d].empty();
  };
  return std::any_of(found->second.begin(), found->second.end(), [&](SlotId slot) {
    const auto rank = static_cast<int64_t>(program_.slots[slot].sizes.size());
    if (dimension.has_value()) {
      const int64_t d = *dimension < 0 ? *dimension + rank : *dimension;
      return d < 0 || d >= rank || mayDiffer(slot, d);
    }
    bool any = false;
    for (int64_t d = 0; d < rank; ++d) any = any || mayDiffer(slot, d);
    return any;
  });
}

bool DependencyAnalysis::varies(int32_t input) const {
  const auto inputs = program_.instructions[instruction_].node->inputs();
  return input >= static_cast<int32_t>(inputs.size()) || numbers_.varies(inputs[input]);
}

bool DependencyAnalysis::elementVaries(int32_t input, int64_t element) const {
  const auto inputs = program_.instructions[instruction_].node->inputs();
  return input >= static_cast<int32_t>(inputs.size()) || numbers_.elementVaries(inputs[input], element);
}

void DependencyAnalysis::apply(size_t instruction) {
  instruction_ = static_cast<int32_t>(instruction);
  applyDependencyRule(*this, program_.instructions[instruction]);
}

bool DependencyAnalysis::tryBranch(size_t decision, bool isNeeded) {
  trial_.emplace();
  const auto begin = static_cast<size_t>(program_.decisions[decision].first);
  const size_t end = begin + static_cast<size_t>(program_.decisions[decision].instructions);
  const size_t separations = separations_.size();
  const size_t heads = heads_.size();
  const size_t channelGroups = channelGroups_.size();
  std::vector<std::pair<SlotId, std::vector<Labels>>> labels;
  for (size_t i = begin; i < end; ++i) {
    for (const SlotId slot : tensorResults(program_.instructions[i]))
      labels.emplace_back(slot, labels_[slot]);
  }
  const auto goesOn = [&] { return isNeeded || !trial_->fixes; };
  for (size_t i = begin; i < end && goesOn(); ++i) apply(i);
  const size_t last = decision + static_cast<size_t>(program_.decisions[decision].decisions);
  for (size_t d = last + 1; d-- > decision && goesOn();) join(program_.decisions[d]);
  const bool accepted = goesOn();
  if (!accepted) {
    for (auto change = trial_->ties.rbegin(); change != trial_->ties.rend(); ++change) {
      parent_[change->child] = change->child;
      isExecuted_[change->root] = change->rootWasExecuted;
      isFiller_[change->root] = change->rootWasFiller;
    }
    for (const Atom atom : trial_->fixed) reason_[atom].clear();
    separations_.resize(separations);
    heads_.resize(heads);
    channelGroups_.resize(channelGroups);
    for (auto& [slot, before] : labels) labels_[slot] = std::move(before);
  }
  trial_.reset();
  return accepted;
}

void DependencyAnalysis::join(const Decision& decision) {
  const auto outputs = decision.node->outputs();
  for (size_t k = 0; k < std::min(decision.taken.size(), decision.other.size()); ++k) {
    if (outputs[k]->hasUses()) join(decision.taken[k], decision.other[k]);
  }
}

// What follows gets either.
void DependencyAnalysis::join(const ValueTree& taken, const ValueTree& other) {
  if (taken.kind != other.kind) return;
  for (size_t i = 0; i < std::min(taken.children.size(), other.children.size()); ++i) {
    join(taken.children[i], other.children[i]);
  }
  if (!taken.isSlot() || taken.slot == other.slot) return;
  const std::string reason = "branches hand on other sizes";
  const auto& a = sizes(taken.slot);
  const auto& b = sizes(other.slot);
  if (a.size() != b.size()) {
    fixSlot(taken.slot, reason);
    fixSlot(other.slot, reason);
    return;
  }
  for (size_t d = 0; d < a.size(); ++d) {
    const Labels& own = labels_[taken.slot][d];
    if (a[d] == b[d]) {
      tie(own, labels_[other.slot][d], reason);
    } else {
      fix(own, reason);
      fix(labels_[other.slot][d], reason);
    }
  }
}

void DependencyAnalysis::fixReturned(const Decision& decision) {
  for (size_t k = 0; k < decision.other.size(); ++k) {
    if (!isReturned(decision.node, k)) continue;
    for (const auto* side : {&decision.taken, &decision.other}) {
      if (k >= side->size()) continue;
      forEachSlot((*side)[k], [&](SlotId slot) { fixSlot(slot, "it is an output of the model"); });
    }
  }
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
  if (trial_.has_value()) trial_->ties.push_back({root, child, isExecuted_[root], isFiller_[root]});
  if (reason_[root].empty() != reason_[child].empty()) noteFix(reason_[root].empty() ? root : child);
  if (reason_[root].empty()) reason_[root] = reason_[child];
  parent_[child] = root;
  isExecuted_[root] = isExecuted_[root] || isExecuted_[child];
  isFiller_[root] = isFiller_[root] && isFiller_[child];
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
  isFiller_.resize(parent_.size(), false);
  return fresh;
}

Labels DependencyAnalysis::fillerLabels(int64_t size) {
  const Labels fillers = freshLabels(size);
  for (const Atom atom : fillers) {
    isExecuted_[atom] = false;
    isFiller_[atom] = true;
  }
  return fillers;
}

std::vector<Labels> DependencyAnalysis::split(const Labels& labels, const std::vector<int64_t>& factors,
                                              int32_t dimension) {
  return factors_.split(*this, labels, factors, {instruction_, dimension});
}

std::optional<size_t> DependencyAnalysis::merge(const std::vector<Labels>& factors,
                                                const std::string& reason) {
  return factors_.merge(*this, factors, reason);
}

void DependencyAnalysis::contract(const Labels& a, const Labels& b, const std::string& reason) {
  factors_.contract(a, b);
  tie(a, b, reason);
}

void DependencyAnalysis::markHeads(const Labels& labels) {
  heads_.push_back(labels);
}

void DependencyAnalysis::markChannelGroups(const Labels& labels, int64_t channels) {
  channelGroups_.emplace_back(labels, channels);
}

void DependencyAnalysis::separate(const std::vector<Labels>& pieces) {
  separations_.push_back(pieces);
}

void DependencyAnalysis::finish(Dependencies& dependencies) {
  for (Atom atom = 1; fixesUnexecuted_ && atom < static_cast<Atom>(parent_.size()); ++atom) {
    if (find(atom) == atom && !isExecuted_[atom]) fix(atom, "the model's forward doesn't use it");
  }
  dependencies.storedAtoms_ = storedAtoms_;
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
  dependencies.channelsPerClass_.assign(groups.size(), 1);
  for (const auto& [labels, channels] : channelGroups_) {
    for (const Atom atom : labels) {
      const ClassPlace place = dependencies.placeOf(atom);
      if (place.group != kNoGroup) dependencies.channelsPerClass_[place.group] = channels;
    }
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
