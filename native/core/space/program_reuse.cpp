#include "core/space/program_reuse.h"

#include <algorithm>
#include <map>
#include <utility>

namespace torchsearch {

namespace {

// Less of the model's work than this between two places is not worth a checkpoint.
constexpr double kLeastWork = 0.005;

}  // namespace

ProgramReuse::ProgramReuse(const Dependencies& dependencies, const ResidualBlocks& blocks,
                           const CustomHyperparameters* customs)
    : analysis_(dependencies, blocks), blockCount_(blocks.blocks.size()) {
  if (customs != nullptr) analysis_.distinguish(*customs);
}

void ProgramReuse::bind(ProgramSubnet subnet, bool recalibrating, const Program& running) {
  recalibrating_ = recalibrating;
  subnet_ = std::move(subnet);
  if (subnet_.kept.empty()) subnet_.kept.assign(blockCount_, true);
  prefixes_ = analysis_.digests(subnet_);
  multiplyAdds_ = analysis_.multiplyAddsBefore(subnet_);
  instructions_.assign(1, 0);
  for (const auto& instruction : running.instructions) {
    instructions_.push_back(instructions_.back() + (instruction.runs() ? 1 : 0));
  }
}

PrefixFamily& ProgramReuse::familyAt(int32_t boundary) {
  for (auto& family : families_) {
    if (family.boundary == boundary && serves(family)) return family;
  }
  families_.push_back({recalibrating_, boundary, prefixes_[boundary], subnet_});
  return families_.back();
}

// What the candidates to come will do with checkpoints at a place of a subnet.
CheckpointFamily ProgramReuse::usesOf(const ProgramSubnet& subnet, int32_t boundary,
                                      const std::vector<ProgramSubnet>& future) const {
  CheckpointFamily uses;
  for (size_t c = 0; c < future.size(); ++c) {
    if (analysis_.firstDifference(subnet, future[c]) < boundary) continue;
    if (uses.nextUse == CheckpointFamily::kNever) uses.nextUse = static_cast<int64_t>(c);
    ++uses.uses;
  }
  return uses;
}

void ProgramReuse::dropUseless(const std::vector<ProgramSubnet>& future, ActivationCache& cache) {
  for (auto family = families_.begin(); family != families_.end();) {
    *family->checkpoints = usesOf(family->subnet, family->boundary, future);
    // The subnet that is bound may still go on from it.
    const bool isBound = family->prefix == prefixes_[family->boundary];
    if (family->checkpoints->uses == 0 && !isBound) {
      cache.drop(family->checkpoints);
      family = families_.erase(family);
    } else {
      ++family;
    }
  }
}

void ProgramReuse::plan(const std::vector<ProgramSubnet>& future, ActivationCache& cache) {
  dropUseless(future, cache);
  std::vector<int32_t> places;  // where later candidates part from this one
  for (const auto& candidate : future) places.push_back(analysis_.firstDifference(subnet_, candidate));
  std::sort(places.begin(), places.end());
  places.erase(std::unique(places.begin(), places.end()), places.end());
  wanted_.clear();
  double work = 0;
  for (const int32_t boundary : places) {
    // A later candidate that is the same all through has its own place: the end is not kept.
    if (boundary >= analysis_.instructionCount() || !analysis_.mayResumeAt(boundary)) continue;
    if (analysis_.workBefore(boundary) - work < kLeastWork) continue;
    work = analysis_.workBefore(boundary);
    auto& family = familyAt(boundary);
    *family.checkpoints = usesOf(subnet_, boundary, future);
    wanted_.push_back(&family);
  }
}

void ProgramReuse::readStatistics(const ShapeProgram& entry, const SubnetTensors& statistics) {
  statistics_.assign(1, Digest());
  for (const auto& norm : norms()) {
    Digest digest = statistics_.back();
    for (const SlotId slot : {norm.mean, norm.variance}) {
      const bool own = statistics.count(entry.program->slots[slot].name) > 0;
      digest = own ? followedBy(digest, digestOf(entry.bindings.values[slot])) : followedBy(digest, 0);
    }
    statistics_.push_back(digest);
  }
}

size_t ProgramReuse::normsBefore(int32_t instruction) const {
  const auto& all = norms();
  return std::lower_bound(all.begin(), all.end(), instruction,
                          [](const TrackedNorm& norm, int32_t at) { return norm.instruction < at; }) -
         all.begin();
}

}  // namespace torchsearch
