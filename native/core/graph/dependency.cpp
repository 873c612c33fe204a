#include "core/graph/dependency.h"

#include <utility>

#include "core/base/error.h"
#include "core/graph/dependency_analysis.h"

namespace torchsearch {

Dependencies::Dependencies(std::shared_ptr<const Program> program) : program_(std::move(program)) {
  SurveyedFactors survey;
  DependencyAnalysis analysis(*program_, survey);
  analysis.run(DependencyAnalysis::Branches::kAll);
  const FactorDecisions decisions = survey.decide(analysis);
  for (const auto& [place, decision] : decisions) {
    factors_.emplace(std::pair(program_->instructions[place.first].node, place.second), decision.factor);
  }
  DecidedFactors decided(decisions);
  DependencyAnalysis decidedAnalysis(*program_, decided);
  decidedAnalysis.run(DependencyAnalysis::Branches::kAll);
  decidedAnalysis.finish(*this);
}

Dependencies::Dependencies(std::shared_ptr<const Program> program, const Dependencies& reference)
    : program_(std::move(program)) {
  std::set<int32_t> conflicts;
  placeByReference(reference, conflicts);
  if (conflicts.empty()) return;
  throw Error("ERR_INPUT_SHAPE",
              "At this input shape the model ties channels that are independent at the dummy input's shape. "
              "Convert the model with a dummy input of this shape.");
}

std::set<int32_t> Dependencies::disagreeing(std::shared_ptr<const Program> program,
                                            const Dependencies& reference) {
  Dependencies own;
  own.program_ = std::move(program);
  std::set<int32_t> conflicts;
  own.placeByReference(reference, conflicts);
  return conflicts;
}

void Dependencies::placeByReference(const Dependencies& reference, std::set<int32_t>& conflicts) {
  ReferenceFactors factors(reference);
  DependencyAnalysis analysis(*program_, factors);
  // Only the reference is exported.
  analysis.run(DependencyAnalysis::Branches::kExecuted);
  analysis.finish(*this);
  // Parameters and buffers come first among the slots and in the same order, so their atoms agree.
  TORCH_CHECK(storedAtoms_ == reference.storedAtoms_, "programs of different models");
  std::vector<ClassPlace> places(root_.size());
  std::vector<bool> known(root_.size(), false);
  for (Atom atom = 1; atom < storedAtoms_; ++atom) {
    const ClassPlace place = reference.placeOf(atom);
    const Atom root = root_[atom];
    const auto clash = [&](const ClassPlace& other) {
      if (other.group != kNoGroup) conflicts.insert(other.group);
    };
    if (!reason_[root].empty()) clash(place);
    if (known[root] && (places[root].group != place.group || places[root].position != place.position)) {
      clash(place);
      clash(places[root]);
    }
    places[root] = place;
    known[root] = true;
  }
  place_ = std::move(places);
  groupSizes_ = reference.groupSizes_;
  isHeads_ = reference.isHeads_;
  channelsPerClass_ = reference.channelsPerClass_;
}

Dependencies Dependencies::without(const std::map<int32_t, std::string>& reasons) const {
  Dependencies rest = *this;
  std::vector<int32_t> renamed(groupSizes_.size(), kNoGroup);
  rest.groupSizes_.clear();
  rest.isHeads_.clear();
  rest.channelsPerClass_.clear();
  for (size_t g = 0; g < groupSizes_.size(); ++g) {
    if (reasons.count(static_cast<int32_t>(g)) > 0) continue;
    renamed[g] = static_cast<int32_t>(rest.groupSizes_.size());
    rest.groupSizes_.push_back(groupSizes_[g]);
    rest.isHeads_.push_back(isHeads_[g]);
    rest.channelsPerClass_.push_back(channelsPerClass_[g]);
  }
  for (size_t root = 0; root < place_.size(); ++root) {
    auto& place = rest.place_[root];
    if (place.group == kNoGroup) continue;
    const auto reason = reasons.find(place.group);
    if (reason != reasons.end()) {
      rest.reason_[root] = reason->second;
      place = ClassPlace();
    } else {
      place.group = renamed[place.group];
    }
  }
  return rest;
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
