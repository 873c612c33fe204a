// The part of a search space that lets a candidate go on from an earlier one's activations.
#include <algorithm>
#include <map>
#include <unordered_set>
#include <utility>

#include "core/base/error.h"
#include "core/forward/activation_cache.h"
#include "core/space/prefix_analysis.h"
#include "core/space/search_space.h"
#include "core/space/search_space_program.h"

namespace torchsearch {

namespace {

// How many of the candidates expected are looked at to decide what to keep.
constexpr size_t kForesight = 64;

// Less of the model's work than this between two places is not worth a checkpoint.
constexpr double kLeastWork = 0.005;

// Whether a tensor's memory is an input's, which belongs to someone else.
bool sharesMemory(const at::Tensor& tensor, const std::vector<at::Tensor>& inputs) {
  if (!tensor.defined() || !tensor.has_storage()) return false;
  return std::any_of(inputs.begin(), inputs.end(), [&](const at::Tensor& input) {
    return input.defined() && input.has_storage() && input.is_alias_of(tensor);
  });
}

Digest digestOfSlots(const std::vector<SlotId>& slots) {
  Digest digest;
  for (const SlotId slot : slots) digest = followedBy(digest, static_cast<uint64_t>(slot));
  return digest;
}

// Which instructions ran together before this one: sums are rounded otherwise then.
Digest digestOfSteps(const PreparedProgram& prepared, int32_t instruction) {
  Digest digest;
  for (int32_t i = 0; i < instruction; ++i) {
    digest = followedBy(digest, static_cast<uint64_t>(prepared.roleOf(i)));
  }
  for (const auto& relayout : prepared.relayouts()) {
    if (relayout.instruction >= instruction) break;
    digest = followedBy(followedBy(digest, static_cast<uint64_t>(relayout.slot)),
                        static_cast<uint64_t>(relayout.instruction));
  }
  return digest;
}

}  // namespace

SearchSpace::ShapeProgram::Reuse::Family& SearchSpace::ShapeProgram::Reuse::familyAt(int32_t boundary) {
  for (auto& family : families) {
    if (family.boundary == boundary && family.recalibrating == recalibrating &&
        family.prefix == prefixes[boundary]) {
      return family;
    }
  }
  families.push_back({recalibrating, boundary, prefixes[boundary], subnet});
  return families.back();
}

void SearchSpace::ShapeProgram::Reuse::plan(const std::vector<ProgramSubnet>& future,
                                            ActivationCache& cache) {
  constexpr int64_t kNever = CheckpointFamily::kNever;
  for (auto family = families.begin(); family != families.end();) {
    auto& checkpoints = *family->checkpoints;
    checkpoints = {};
    for (size_t c = 0; c < future.size(); ++c) {
      if (analysis.firstDifference(family->subnet, future[c]) < family->boundary) continue;
      if (checkpoints.nextUse == kNever) checkpoints.nextUse = static_cast<int64_t>(c);
      ++checkpoints.uses;
    }
    // The subnet that is bound may still go on from it.
    const bool serves = family->prefix == prefixes[family->boundary];
    if (checkpoints.uses == 0 && !serves) {
      cache.drop(family->checkpoints);
      family = families.erase(family);
    } else {
      ++family;
    }
  }
  std::map<int32_t, CheckpointFamily> places;  // where later candidates part from this one
  for (size_t c = 0; c < future.size(); ++c) {
    places[analysis.firstDifference(subnet, future[c])].uses += 1;
  }
  wanted.clear();
  double work = 0;
  for (const auto& [place, unused] : places) {
    // A later candidate that is the same all through has its own place: the end is not kept.
    const int32_t boundary = place;
    if (boundary >= analysis.instructionCount() || !analysis.mayResumeAt(boundary)) continue;
    if (analysis.workBefore(boundary) - work < kLeastWork) continue;
    work = analysis.workBefore(boundary);
    auto& family = familyAt(boundary);
    auto& checkpoints = *family.checkpoints;
    checkpoints = {};
    for (size_t c = 0; c < future.size(); ++c) {
      if (analysis.firstDifference(subnet, future[c]) < boundary) continue;
      if (checkpoints.nextUse == kNever) checkpoints.nextUse = static_cast<int64_t>(c);
      ++checkpoints.uses;
    }
    wanted.push_back(&family);
  }
}

void SearchSpace::orderHyperparameters() {
  const PrefixAnalysis analysis(*dependencies_, blocks_);
  ProgramSubnet full;
  for (size_t g = 0; g < dependencies_->groupCount(); ++g) {
    full.widths.push_back(dependencies_->groupSize(static_cast<int32_t>(g)));
  }
  full.kept.assign(blocks_.blocks.size(), true);
  for (auto& hyperparameter : hyperparameters_) {
    ProgramSubnet smallest = full;
    if (hyperparameter.block >= 0) {
      smallest.kept[hyperparameter.block] = false;
    } else {
      smallest.widths[hyperparameter.group] = hyperparameter.choices.front();
    }
    hyperparameter.begins = analysis.firstDifference(full, smallest);
  }
}

void SearchSpace::reuseActivations(int64_t budget) {
  {
    const std::lock_guard<std::mutex> lock(wantedMutex_);
    wanted_.cacheBudget = std::max<int64_t>(budget, 0);
  }
  // A forward that is running now adopts it with the next one.
  const std::unique_lock<std::recursive_mutex> lock(mutex_, std::try_to_lock);
  if (lock.owns_lock()) adoptBudget(std::max<int64_t>(budget, 0));
}

void SearchSpace::adoptBudget(int64_t budget) {
  if (budget == cache_.budget()) return;
  const bool wasOff = cache_.budget() == 0;
  cache_.setBudget(budget);
  counters_.budget = budget;
  if (wasOff || budget == 0) {
    for (auto& item : programs_) {
      item.second->reuse.reset();
      item.second->selection = -1;
    }
    cache_.clear();
    weightsDigest_ = {};
  }
  publishCounters();
}

void SearchSpace::expect(const std::vector<std::vector<int64_t>>& candidates) {
  auto expected = std::make_shared<std::vector<Subnet>>();
  for (const auto& values : candidates) expected->push_back(subnetOf(values));
  const std::lock_guard<std::mutex> lock(wantedMutex_);
  wanted_.expected = std::move(expected);
  wanted_.next = 0;
}

ReuseCounters SearchSpace::reuse() const {
  const std::lock_guard<std::mutex> lock(countersMutex_);
  return published_;
}

void SearchSpace::publishCounters() {
  counters_.bytes = cache_.bytes();
  counters_.entries = cache_.size();
  counters_.peak = std::max(counters_.peak, counters_.bytes);
  const std::lock_guard<std::mutex> lock(countersMutex_);
  published_ = counters_;
}

void SearchSpace::beginPass() {
  const auto moduleLock = module_->lock();
  const std::lock_guard<std::recursive_mutex> lock(mutex_);
  adoptSelection();
  checkWeights();
  inPass_ = true;
}

void SearchSpace::endPass() {
  const std::lock_guard<std::recursive_mutex> lock(mutex_);
  inPass_ = false;
}

// Weights may be written from JavaScript, which nothing tells of. Reading them all takes a small part of the
// time of one forward.
void SearchSpace::checkWeights() {
  if (cache_.budget() == 0) return;
  Digest digest;
  const auto jit = module_->jit();
  for (const auto& parameter : jit.named_parameters()) digest = followedBy(digest, digestOf(parameter.value));
  for (const auto& buffer : jit.named_buffers()) digest = followedBy(digest, digestOf(buffer.value));
  if (digest == weightsDigest_) return;
  weightsDigest_ = digest;
  cache_.clear();
  // Weights that a subnet gathers, rather than views, are of the values before.
  for (auto& item : programs_) {
    item.second->selection = -1;
    if (item.second->reuse != nullptr) item.second->reuse->families.clear();
  }
}

// For the subnet that has just been bound.
void SearchSpace::prepareReuse(ShapeProgram& entry) {
  if (cache_.budget() == 0) return;
  if (entry.reuse == nullptr) {
    entry.reuse = std::make_shared<ShapeProgram::Reuse>(*entry.dependencies, entry.blocks);
    if (const auto all = customs()) entry.reuse->analysis.distinguish(*all);
  }
  auto& reuse = *entry.reuse;
  reuse.recalibrating = current_.recalibrating;
  reuse.subnet = {current_.subnet.widths, entry.kept, current_.subnet.custom.positions()};
  if (reuse.subnet.kept.empty()) reuse.subnet.kept.assign(entry.blocks.blocks.size(), true);
  reuse.prefixes = reuse.analysis.digests(reuse.subnet);
  reuse.multiplyAdds = reuse.analysis.multiplyAddsBefore(reuse.subnet);
  reuse.instructions.assign(1, 0);
  for (const auto& instruction : entry.running->instructions) {
    reuse.instructions.push_back(reuse.instructions.back() + (instruction.runs() ? 1 : 0));
  }
  std::vector<ProgramSubnet> future;
  if (current_.expected != nullptr) {
    const auto& expected = *current_.expected;
    for (size_t at = current_.next; at < expected.size() && future.size() < kForesight; ++at) {
      const Subnet& next = expected[at];
      future.push_back({next.widths, keptIn(entry, next.kept), next.custom.positions()});
    }
  }
  reuse.plan(future, cache_);
  readStatistics(entry);
}

// What the norms' statistics are now: they decide what norms give in evaluation, and what they average into.
void SearchSpace::readStatistics(ShapeProgram& entry) const {
  auto& reuse = *entry.reuse;
  reuse.statistics.assign(1, Digest());
  for (const auto& norm : reuse.analysis.norms()) {
    Digest digest = reuse.statistics.back();
    for (const SlotId slot : {norm.mean, norm.variance}) {
      const bool own = statistics_.count(entry.program->slots[slot].name) > 0;
      digest = own ? followedBy(digest, digestOf(entry.bindings.values[slot])) : followedBy(digest, 0);
    }
    reuse.statistics.push_back(digest);
  }
}

c10::IValue SearchSpace::runReusing(ShapeProgram& entry, const std::vector<at::Tensor>& inputs,
                                    int32_t stopBefore, const CancelToken& cancel) {
  auto& reuse = *entry.reuse;
  const auto& norms = reuse.analysis.norms();
  const auto& plan = entry.executor.plan();
  const int32_t end = std::min(stopBefore, plan.instructionCount());
  if (reuse.recalibrating) readStatistics(entry);
  // All that decides the activations at a place: the batch, the mode, and what runs before it on what.
  Digest batch{reinterpret_cast<uintptr_t>(&entry), reuse.recalibrating ? 1U : 0U};
  if (reuse.recalibrating) batch = followedBy(batch, static_cast<uint64_t>(recalibrationBatches_));
  const PreparedProgram* prepared = entry.bindings.prepared.get();
  batch = followedBy(batch, prepared != nullptr ? 1U : 0U);
  for (const auto& input : inputs) batch = followedBy(batch, digestOf(input));
  const auto mayStopAt = [&](int32_t boundary) {
    return prepared == nullptr || prepared->canStopBefore(boundary);
  };
  const auto normsBefore = [&](int32_t instruction) {
    return std::lower_bound(norms.begin(), norms.end(), instruction,
                            [](const TrackedNorm& norm, int32_t at) { return norm.instruction < at; }) -
           norms.begin();
  };
  const auto keyAt = [&](int32_t boundary) {
    Digest key = followedBy(batch, reuse.prefixes[boundary]);
    key = followedBy(key, reuse.statistics[normsBefore(boundary)]);
    if (prepared != nullptr) key = followedBy(key, digestOfSteps(*prepared, boundary));
    return followedBy(key, digestOfSlots(plan.liveSlotsAt(boundary)));
  };

  std::shared_ptr<const Checkpoint> checkpoint;
  const ShapeProgram::Reuse::Family* resumed = nullptr;
  Digest resumedKey;
  for (const auto& family : reuse.families) {
    if (family.recalibrating != reuse.recalibrating || family.prefix != reuse.prefixes[family.boundary])
      continue;
    if (resumed != nullptr && family.boundary <= resumed->boundary) continue;
    if (!mayStopAt(family.boundary)) continue;
    const Digest key = keyAt(family.boundary);
    auto found = cache_.find(key);
    if (found == nullptr) continue;
    checkpoint = std::move(found);
    resumed = &family;
    resumedKey = key;
  }
  const int32_t start = resumed == nullptr ? 0 : resumed->boundary;

  std::vector<Activations> captures;
  std::vector<std::pair<ShapeProgram::Reuse::Family*, Digest>> destinations;
  for (auto* family : reuse.wanted) {
    if (family->boundary <= start || family->boundary >= end || !mayStopAt(family->boundary)) continue;
    const Digest key = keyAt(family->boundary);
    // One that all who come go past gives its place to the next.
    const bool replaces =
        resumed != nullptr && captures.empty() && resumed->checkpoints->uses == family->checkpoints->uses;
    if (!cache_.admits(*family->checkpoints, family->bytes, replaces ? &resumedKey : nullptr)) continue;
    captures.emplace_back().instruction = family->boundary;
    destinations.emplace_back(family, key);
  }

  c10::IValue output;
  if (checkpoint != nullptr) {
    for (const auto& [slot, value] : checkpoint->statistics) entry.bindings.values[slot].copy_(value);
  }
  if (start < end) {
    RunOptions options;
    options.stopBefore = stopBefore;
    options.captures = &captures;
    if (checkpoint != nullptr) options.resumeFrom = &checkpoint->activations;
    output = entry.executor.run(entry.bindings, inputs, cancel, options);
  }

  const auto& slots = entry.program->slots;
  for (size_t c = 0; c < captures.size(); ++c) {
    auto made = std::make_shared<Checkpoint>();
    made->activations.instruction = captures[c].instruction;
    bool borrowed = false;
    for (auto& [slot, tensor] : captures[c].tensors) {
      if (slots[slot].kind == Slot::Kind::kInput) continue;  // every call brings it along
      borrowed = borrowed || sharesMemory(tensor, inputs);
      made->activations.tensors.emplace_back(slot, std::move(tensor));
    }
    if (borrowed) continue;
    if (reuse.recalibrating) {
      const auto before = normsBefore(captures[c].instruction);
      for (auto n = norms.begin(); n != norms.begin() + before; ++n) {
        if (!entry.running->instructions[n->instruction].runs()) continue;
        for (const SlotId slot : {n->mean, n->variance}) {
          made->statistics.emplace_back(slot, entry.bindings.values[slot].clone());
        }
      }
    }
    made->bytes = storageBytes(*made);
    auto& [family, key] = destinations[c];
    family->bytes = made->bytes;
    const bool replaces =
        c == 0 && resumed != nullptr && resumed->checkpoints->uses == family->checkpoints->uses;
    cache_.put(key, std::move(made), family->checkpoints, replaces ? &resumedKey : nullptr);
  }

  ++counters_.forwards;
  if (resumed != nullptr) ++counters_.hits;
  counters_.instructionsSkipped += reuse.instructions[std::min(start, end)];
  counters_.instructionsRun += reuse.instructions[end] - reuse.instructions[std::min(start, end)];
  counters_.multiplyAddsSkipped += reuse.multiplyAdds[std::min(start, end)];
  counters_.multiplyAddsRun += reuse.multiplyAdds[end] - reuse.multiplyAdds[std::min(start, end)];
  publishCounters();
  return output;
}

}  // namespace torchsearch
