#include "core/importance/importance.h"

#include "core/base/error.h"

namespace torchsearch {

std::shared_ptr<Importance> Importance::make(ImportanceKind kind, const ImportanceOptions& options) {
  switch (kind) {
    case ImportanceKind::kL1:
      return makeMagnitudeImportance(1);
    case ImportanceKind::kL2:
      return makeMagnitudeImportance(2);
    case ImportanceKind::kFpgm:
      return makeMedianImportance();
    case ImportanceKind::kBnScale:
      return makeNormScaleImportance();
    case ImportanceKind::kTaylor:
      return makeTaylorImportance(options.loss, 1, options.seed);
    case ImportanceKind::kActivation:
      return makeActivationImportance();
    case ImportanceKind::kLamp:
      return makeLampImportance();
    case ImportanceKind::kObd:
      return makeTaylorImportance(options.loss, 2, options.seed);
    case ImportanceKind::kObs:
      return makeSurgeonImportance();
    case ImportanceKind::kRandom:
      return makeRandomImportance(options.seed);
  }
  return nullptr;
}

void Importance::add(const MeasuredBatch&, const CancelToken&) {
  throw Error(
      "ERR_CONFIG_VALUE",
      "This importance is computed from the weights alone; leave out the data, or choose \"taylor\" or "
      "\"activation\".");
}

ChannelScores Importance::absoluteScores(const Dependencies&) const {
  throw Error("ERR_CONFIG_VALUE",
              "This importance has no scores that compare over layers; choose \"taylor\".");
}

void fillByMagnitude(const Dependencies& dependencies, const std::vector<at::Tensor>& values,
                     const std::vector<bool>& voted, ChannelScores& scores) {
  ChannelScores magnitudes;
  for (size_t g = 0; g < scores.size(); ++g) {
    if (voted[g]) continue;
    if (magnitudes.empty()) magnitudes = makeMagnitudeImportance(1)->scores(dependencies, values);
    scores[g] = magnitudes[g];
  }
}

}  // namespace torchsearch
