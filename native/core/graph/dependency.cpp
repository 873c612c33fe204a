#include "core/graph/dependency.h"

#include <algorithm>
#include <map>
#include <utility>

#include "core/error.h"
#include "core/graph/dependency_analysis.h"

namespace torchsearch {

namespace {

uint64_t mix(uint64_t a, uint64_t b) {
  uint64_t x = a * 0x9E3779B97F4A7C15ULL + b + 0x7F4A7C15ULL;
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9ULL;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EBULL;
  return x ^ (x >> 31);
}

void fixTree(DependencyAnalysis& analysis, const ValueTree& tree, const std::string& reason) {
  if (tree.isSlot()) analysis.fixSlot(tree.slot, reason);
  for (const auto& child : tree.children) fixTree(analysis, child, reason);
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
  storedEnd_ = static_cast<Atom>(parent_.size());
}

void DependencyAnalysis::run() {
  for (const auto& instruction : program_.instructions) {
    applyDependencyRule(*this, instruction);
    ++instruction_;
  }
  fixTree(*this, program_.output, "it is an output of the model");
}

Atom DependencyAnalysis::find(Atom atom) const {
  while (parent_[atom] != atom) {
    parent_[atom] = parent_[parent_[atom]];
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
  parent_[child] = root;
  if (reason_[root].empty()) reason_[root] = reason_[child];
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
  auto& existing = reason_[find(atom)];
  if (existing.empty()) existing = reason;
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

Dependencies::Dependencies(std::shared_ptr<const Program> program) : program_(std::move(program)) {
  SurveyedFactors survey;
  DependencyAnalysis analysis(*program_, survey);
  analysis.run();
  if (!survey.found()) {
    analysis.finish(*this);
    return;
  }
  DecidedFactors decided(survey.decide(analysis));
  DependencyAnalysis decidedAnalysis(*program_, decided);
  decidedAnalysis.run();
  decidedAnalysis.finish(*this);
}

Dependencies::Dependencies(std::shared_ptr<const Program> program, const Dependencies& reference)
    : program_(std::move(program)) {
  ReferenceFactors factors(reference);
  DependencyAnalysis analysis(*program_, factors);
  analysis.run();
  analysis.finish(*this);
  placeByReference(reference);
}

void Dependencies::placeByReference(const Dependencies& reference) {
  // Parameters and buffers come first among the slots and in the same order, so their atoms agree.
  TORCH_CHECK(root_.size() == reference.root_.size(), "programs of different models");
  std::vector<ClassPlace> places(root_.size());
  std::vector<bool> known(root_.size(), false);
  for (Atom atom = 1; atom < static_cast<Atom>(root_.size()); ++atom) {
    const ClassPlace place = reference.placeOf(atom);
    const Atom root = root_[atom];
    if ((!reason_[root].empty() && place.group != kNoGroup) ||
        (known[root] && (places[root].group != place.group || places[root].position != place.position))) {
      throw Error(
          "ERR_INPUT_SHAPE",
          "At this input shape the model ties channels that are independent at the dummy input's shape. "
          "Convert the model with a dummy input of this shape.");
    }
    places[root] = place;
    known[root] = true;
  }
  place_ = std::move(places);
  groupSizes_ = reference.groupSizes_;
  isHeads_ = reference.isHeads_;
}

ClassPlace Dependencies::placeOf(Atom atom) const {
  return atom == kFixedAtom ? ClassPlace() : place_[root_[atom]];
}

const std::string& Dependencies::reasonOf(Atom atom) const {
  return reason_[root_[atom]];
}

std::vector<int64_t> Dependencies::kept(SlotId slot, int64_t dimension,
                                        const std::vector<int64_t>& widths) const {
  const Labels& dimensionLabels = labels(slot, dimension);
  std::vector<int64_t> indices;
  const int64_t size = program_->slots[slot].sizes[dimension];
  for (int64_t i = 0; i < size; ++i) {
    const ClassPlace place = dimensionLabels.empty() ? ClassPlace() : placeOf(dimensionLabels[i]);
    if (place.group == kNoGroup || place.position < widths[place.group]) indices.push_back(i);
  }
  return indices;
}

int64_t Dependencies::keptCount(SlotId slot, int64_t dimension, const std::vector<int64_t>& widths) const {
  if (labels(slot, dimension).empty()) return program_->slots[slot].sizes[dimension];
  return static_cast<int64_t>(kept(slot, dimension, widths).size());
}

}  // namespace torchsearch
