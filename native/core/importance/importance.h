#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <vector>

#include "core/base/cancel.h"
#include "core/evaluation/loss.h"
#include "core/graph/dependency.h"
#include "core/importance/channel_votes.h"
#include "core/importance/measure.h"

namespace torchsearch {

enum class ImportanceKind : uint8_t {
  kL1,
  kL2,
  kFpgm,
  kBnScale,
  kTaylor,
  kActivation,
  kLamp,
  kObd,
  kObs,
  kRandom
};

struct ImportanceOptions {
  uint64_t seed = 0;                        // kRandom, kObd
  LossKind loss = LossKind::kCrossEntropy;  // kTaylor
};

// A measure of how much channels matter. Every one sums votes over all that is tied together (grouped
// importance; Fang et al., "DepGraph: Towards Any Structural Pruning", CVPR 2023); docs/importance.md has the
// formulas. One thread at a time.
class Importance : public Measure {
 public:
  static std::shared_ptr<Importance> make(ImportanceKind kind, const ImportanceOptions& options);

  // Whether batches must be added before there are scores.
  virtual bool needsData() const { return false; }

  // Learns from one more batch. Leaves the module as it is. ERR_FORWARD, ERR_GRADIENT, ERR_IMPORTANCE_NAN,
  // ERR_SCORE_INPUT where the target does not fit the loss, ERR_ABORTED.
  void add(const MeasuredBatch& batch, const CancelToken& cancel) override;

  // In the order of channels that `values` (by SlotId, the whole model's) and the batches so far had.
  // ERR_IMPORTANCE_NAN; ERR_EMPTY_LOADER before the first batch of a measure that needs data.
  virtual ChannelScores scores(const Dependencies& dependencies,
                               const std::vector<at::Tensor>& values) const = 0;

  // As `scores`, but in a unit of the measure's own, so that channels of different layers compare: of
  // "taylor", the first-order change of a batch's loss without the channel, on average over batches.
  // ERR_CONFIG_VALUE for a measure without such a unit.
  virtual ChannelScores absoluteScores(const Dependencies& dependencies) const;
};

// One function for each measure, in a file of its own.
std::shared_ptr<Importance> makeMagnitudeImportance(double order);
std::shared_ptr<Importance> makeMedianImportance();
std::shared_ptr<Importance> makeNormScaleImportance();
// `order` 1, or 2 for the second-order measure.
std::shared_ptr<Importance> makeTaylorImportance(LossKind loss, int order, uint64_t seed);
std::shared_ptr<Importance> makeLampImportance();
std::shared_ptr<Importance> makeSurgeonImportance();
std::shared_ptr<Importance> makeActivationImportance();
std::shared_ptr<Importance> makeRandomImportance(uint64_t seed);

// Gives groups that no vote was cast for their scores by L1 magnitude.
void fillByMagnitude(const Dependencies& dependencies, const std::vector<at::Tensor>& values,
                     const std::vector<bool>& voted, ChannelScores& scores);

}  // namespace torchsearch
