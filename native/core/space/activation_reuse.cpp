#include "core/space/activation_reuse.h"

#include <algorithm>
#include <optional>
#include <utility>

namespace torchsearch {

namespace {

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

// What a run's checkpoints hold, where it may be stopped: without inputs, which every call brings along. None
// where one is an input's memory.
std::optional<Activations> withoutInputs(const std::vector<Slot>& slots,
                                         const std::vector<at::Tensor>& inputs, Activations& captured) {
  Activations own;
  own.instruction = captured.instruction;
  for (auto& [slot, tensor] : captured.tensors) {
    if (slots[slot].kind == Slot::Kind::kInput) continue;
    if (sharesMemory(tensor, inputs)) return std::nullopt;
    own.tensors.emplace_back(slot, std::move(tensor));
  }
  return own;
}

}  // namespace

// The keys of one batch's checkpoints: all that decides the activations at a place, which are the batch, the
// mode, and what runs before it on what.
class CheckpointKeys {
 public:
  CheckpointKeys(const ShapeProgram& entry, const std::vector<at::Tensor>& inputs, int64_t batches)
      : entry_(entry), prepared_(entry.bindings.prepared.get()) {
    const bool recalibrating = entry.reuse->recalibrating();
    batch_ = Digest{reinterpret_cast<uintptr_t>(&entry), recalibrating ? 1U : 0U};
    if (recalibrating) batch_ = followedBy(batch_, static_cast<uint64_t>(batches));
    batch_ = followedBy(batch_, prepared_ != nullptr ? 1U : 0U);
    for (const auto& input : inputs) batch_ = followedBy(batch_, digestOf(input));
  }

  // Whether a run may stop, or go on, just before an instruction.
  bool mayStopAt(int32_t instruction) const {
    return prepared_ == nullptr || prepared_->canStopBefore(instruction);
  }

  Digest at(int32_t instruction) const {
    Digest key = followedBy(batch_, entry_.reuse->prefixAt(instruction));
    key = followedBy(key, entry_.reuse->statisticsAt(instruction));
    if (prepared_ != nullptr) key = followedBy(key, digestOfSteps(*prepared_, instruction));
    return followedBy(key, digestOfSlots(entry_.executor.plan().liveSlotsAt(instruction)));
  }

 private:
  const ShapeProgram& entry_;
  const PreparedProgram* prepared_;
  Digest batch_;
};

// Where a run goes on from.
struct ActivationReuse::Resumption {
  const PrefixFamily* family = nullptr;  // null for the beginning
  Digest key;
  std::shared_ptr<const Checkpoint> checkpoint;

  int32_t start() const { return family == nullptr ? 0 : family->boundary; }
  // One that all who come go past gives its place to the next.
  bool givesPlaceTo(const PrefixFamily& next) const {
    return family != nullptr && family->checkpoints->uses == next.checkpoints->uses;
  }
};

// A checkpoint that a run is to make.
struct ActivationReuse::Capture {
  PrefixFamily* family = nullptr;
  Digest key;
  bool replaces = false;  // the checkpoint that the run goes on from
};

bool ActivationReuse::setBudget(int64_t bytes) {
  if (bytes == cache_.budget()) return false;
  const bool switched = (bytes > 0) != isOn();
  cache_.setBudget(bytes);
  counters_.budget = bytes;
  publish();
  return switched;
}

void ActivationReuse::forget(ShapePrograms& programs) {
  programs.forEach([](ShapeProgram& entry) {
    entry.reuse.reset();
    entry.unbind();
  });
  cache_.clear();
  weights_ = {};
  publish();
}

void ActivationReuse::checkWeights(const torch::jit::Module& module, ShapePrograms& programs) {
  if (!isOn()) return;
  Digest digest;
  for (const auto& parameter : module.named_parameters()) {
    digest = followedBy(digest, digestOf(parameter.value));
  }
  for (const auto& buffer : module.named_buffers()) digest = followedBy(digest, digestOf(buffer.value));
  if (digest == weights_) return;
  weights_ = digest;
  cache_.clear();
  // Weights that a subnet gathers, rather than views, are of the values before.
  programs.forEach([](ShapeProgram& entry) {
    entry.unbind();
    if (entry.reuse != nullptr) entry.reuse->forgetFamilies();
  });
}

void ActivationReuse::prepare(ShapeProgram& entry, ProgramSubnet subnet,
                              const std::vector<ProgramSubnet>& future, const CustomHyperparameters* customs,
                              const SubnetTensors& statistics) {
  if (entry.reuse == nullptr) {
    entry.reuse = std::make_shared<ProgramReuse>(*entry.dependencies, entry.blocks, customs);
  }
  entry.reuse->bind(std::move(subnet), entry.recalibrating, *entry.running);
  entry.reuse->plan(future, cache_);
  entry.reuse->readStatistics(entry, statistics);
}

// The last place of the bound subnet that something is known of.
ActivationReuse::Resumption ActivationReuse::findCheckpoint(const ProgramReuse& reuse,
                                                            const CheckpointKeys& keys) const {
  Resumption best;
  for (const auto& family : reuse.families()) {
    if (!reuse.serves(family) || !keys.mayStopAt(family.boundary)) continue;
    if (best.family != nullptr && family.boundary <= best.family->boundary) continue;
    const Digest key = keys.at(family.boundary);
    auto found = cache_.find(key);
    if (found != nullptr) best = {&family, key, std::move(found)};
  }
  return best;
}

// The checkpoints to make on the way to `end`, by ascending boundary.
std::vector<ActivationReuse::Capture> ActivationReuse::admitted(const ProgramReuse& reuse,
                                                                const CheckpointKeys& keys,
                                                                const Resumption& resumption,
                                                                int32_t end) const {
  std::vector<Capture> captures;
  for (auto* family : reuse.wanted()) {
    if (family->boundary <= resumption.start() || family->boundary >= end) continue;
    if (!keys.mayStopAt(family->boundary)) continue;
    const bool replaces = captures.empty() && resumption.givesPlaceTo(*family);
    if (!cache_.admits(*family->checkpoints, family->bytes, replaces ? &resumption.key : nullptr)) continue;
    captures.push_back({family, keys.at(family->boundary), replaces});
  }
  return captures;
}

void ActivationReuse::keep(const ShapeProgram& entry, const std::vector<at::Tensor>& inputs,
                           const Resumption& resumption, const std::vector<Capture>& captures,
                           std::vector<Activations>& captured) {
  const ProgramReuse& reuse = *entry.reuse;
  for (size_t c = 0; c < captured.size(); ++c) {
    auto activations = withoutInputs(entry.program->slots, inputs, captured[c]);
    if (!activations) continue;
    auto made = std::make_shared<Checkpoint>();
    made->activations = std::move(*activations);
    const size_t norms = reuse.recalibrating() ? reuse.normsBefore(captured[c].instruction) : 0;
    for (size_t n = 0; n < norms; ++n) {
      const TrackedNorm& norm = reuse.norms()[n];
      if (!entry.running->instructions[norm.instruction].runs()) continue;
      for (const SlotId slot : {norm.mean, norm.variance}) {
        made->statistics.emplace_back(slot, entry.bindings.values[slot].clone());
      }
    }
    made->bytes = storageBytes(*made);
    const auto& [family, key, replaces] = captures[c];
    family->bytes = made->bytes;
    cache_.put(key, std::move(made), family->checkpoints, replaces ? &resumption.key : nullptr);
  }
}

c10::IValue ActivationReuse::run(ShapeProgram& entry, const std::vector<at::Tensor>& inputs,
                                 int32_t stopBefore, int64_t batches, const SubnetTensors& statistics,
                                 const CancelToken& cancel) {
  ProgramReuse& reuse = *entry.reuse;
  if (reuse.recalibrating()) reuse.readStatistics(entry, statistics);
  const CheckpointKeys keys(entry, inputs, batches);
  const Resumption resumption = findCheckpoint(reuse, keys);
  const int32_t end = std::min(stopBefore, entry.executor.plan().instructionCount());
  const auto captures = admitted(reuse, keys, resumption, end);
  std::vector<Activations> captured(captures.size());
  for (size_t c = 0; c < captures.size(); ++c) captured[c].instruction = captures[c].family->boundary;

  const Checkpoint* checkpoint = resumption.checkpoint.get();
  if (checkpoint != nullptr) {
    for (const auto& [slot, value] : checkpoint->statistics) entry.bindings.values[slot].copy_(value);
  }
  c10::IValue output;
  if (resumption.start() < end) {
    RunOptions options;
    options.stopBefore = stopBefore;
    options.captures = &captured;
    if (checkpoint != nullptr) options.resumeFrom = &checkpoint->activations;
    output = entry.executor.run(entry.bindings, inputs, cancel, options);
  }
  keep(entry, inputs, resumption, captures, captured);
  count(reuse, resumption, end);
  return output;
}

void ActivationReuse::count(const ProgramReuse& reuse, const Resumption& resumption, int32_t end) {
  const int32_t start = std::min(resumption.start(), end);
  ++counters_.forwards;
  if (resumption.family != nullptr) ++counters_.hits;
  counters_.instructionsSkipped += reuse.instructionsBefore(start);
  counters_.instructionsRun += reuse.instructionsBefore(end) - reuse.instructionsBefore(start);
  counters_.multiplyAddsSkipped += reuse.multiplyAddsBefore(start);
  counters_.multiplyAddsRun += reuse.multiplyAddsBefore(end) - reuse.multiplyAddsBefore(start);
  publish();
}

void ActivationReuse::publish() {
  counters_.bytes = cache_.bytes();
  counters_.entries = cache_.size();
  counters_.peak = std::max(counters_.peak, counters_.bytes);
  const std::lock_guard guard(publishedMutex_);
  published_ = counters_;
}

ReuseCounters ActivationReuse::counters() const {
  const std::lock_guard guard(publishedMutex_);
  return published_;
}

}  // namespace torchsearch
