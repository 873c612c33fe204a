#include "core/space/subnet.h"

#include <string>
#include <utility>

#include "core/base/error.h"

namespace torchsearch {

namespace {

// `least`: how many hyperparameters come before the custom ones.
CustomChoice customChoiceOf(const std::shared_ptr<const CustomHyperparameters>& customs, size_t least,
                            const std::vector<int64_t>& values) {
  const size_t most = least + (customs == nullptr ? 0 : customs->size());
  if (values.size() < least || values.size() > most) {
    throw Error("ERR_CHOICE", "Expected " + std::to_string(most) + " widths but received " +
                                  std::to_string(values.size()) + ".");
  }
  if (customs == nullptr) return {};
  std::vector<int64_t> positions;
  for (size_t c = 0; c < customs->size(); ++c) {
    const auto& custom = *(*customs)[c];
    const int64_t position = least + c < values.size() ? values[least + c] : custom.own();
    if (position < 0 || position > custom.own()) {
      throw Error("ERR_CHOICE", std::to_string(position) + " is no position among the choices of '" +
                                    custom.name + "', which has " + std::to_string(custom.own() + 1) + ".");
    }
    positions.push_back(position);
  }
  return {customs, std::move(positions)};
}

}  // namespace

Subnet subnetOf(const ConvertedModel& model, const std::vector<Hyperparameter>& hyperparameters,
                const std::shared_ptr<const CustomHyperparameters>& customs,
                const std::vector<int64_t>& values) {
  Subnet subnet;
  subnet.custom = customChoiceOf(customs, hyperparameters.size(), values);
  subnet.widths = fullWidths(*model.dependencies);
  subnet.kept.assign(model.blocks.blocks.size(), true);
  for (size_t i = 0; i < hyperparameters.size(); ++i) {
    const auto& hyperparameter = hyperparameters[i];
    if (!hyperparameter.offers(values[i])) {
      throw Error("ERR_CHOICE", std::to_string(values[i]) + " is no choice of '" + hyperparameter.name +
                                    "', which has choices from " +
                                    std::to_string(hyperparameter.choices.front()) + " to " +
                                    std::to_string(hyperparameter.full) + ".");
    }
    if (hyperparameter.block >= 0) {
      subnet.kept[hyperparameter.block] = values[i] != 0;
    } else {
      subnet.widths[hyperparameter.group] = values[i];
    }
  }
  return subnet;
}

}  // namespace torchsearch
