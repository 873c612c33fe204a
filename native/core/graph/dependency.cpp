#include "core/graph/dependency.h"

#include <utility>

#include "core/base/error.h"
#include "core/graph/dependency_analysis.h"

namespace torchsearch {

Dependencies::Dependencies(std::shared_ptr<const Program> program) : program_(std::move(program)) {
  SurveyedFactors survey;
  DependencyAnalysis analysis(*program_, survey);
  analysis.run(DependencyAnalysis::Branches::kAll);
  if (!survey.found()) {
    analysis.finish(*this);
    return;
  }
  DecidedFactors decided(survey.decide(analysis));
  DependencyAnalysis decidedAnalysis(*program_, decided);
  decidedAnalysis.run(DependencyAnalysis::Branches::kAll);
  decidedAnalysis.finish(*this);
}

Dependencies::Dependencies(std::shared_ptr<const Program> program, const Dependencies& reference)
    : program_(std::move(program)) {
  ReferenceFactors factors(reference);
  DependencyAnalysis analysis(*program_, factors);
  // Only the reference is exported.
  analysis.run(DependencyAnalysis::Branches::kExecuted);
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
