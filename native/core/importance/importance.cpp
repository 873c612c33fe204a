#include "core/importance/importance.h"

#include "core/base/error.h"

namespace torchsearch {

std::shared_ptr<Importance> Importance::make(const std::string& name, const ImportanceOptions& options) {
  if (name == "l1") return makeMagnitudeImportance(1);
  if (name == "l2") return makeMagnitudeImportance(2);
  if (name == "bn_scale") return makeNormScaleImportance();
  if (name == "taylor") return makeTaylorImportance(options.loss);
  if (name == "activation") return makeActivationImportance();
  if (name == "random") return makeRandomImportance(options.seed);
  throw Error(
      "ERR_CONFIG_VALUE",
      "importance must be \"l1\", \"l2\", \"bn_scale\", \"taylor\", \"activation\" or \"random\", not \"" +
          name + "\".");
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
