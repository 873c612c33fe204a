#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "core/space/converted_model.h"
#include "core/space/custom_hyperparameter.h"
#include "core/space/hyperparameter.h"

namespace torchsearch {

// One value for each hyperparameter, in the model's terms.
struct Subnet {
  std::vector<int64_t> widths;  // by group
  std::vector<bool> kept;       // by residual block
  CustomChoice custom;

  bool operator==(const Subnet& other) const {
    return widths == other.widths && kept == other.kept && custom == other.custom;
  }
};

// The subnet of these values, by hyperparameter and then by custom hyperparameter; those of custom ones may
// be left out, which means the model's own. ERR_CHOICE
Subnet subnetOf(const ConvertedModel& model, const std::vector<Hyperparameter>& hyperparameters,
                const std::shared_ptr<const CustomHyperparameters>& customs,
                const std::vector<int64_t>& values);

}  // namespace torchsearch
