#pragma once

#include <optional>

#include "core/base/cancel.h"
#include "core/call/inputs.h"
#include "core/model/module.h"
#include "core/space/converted_model.h"

namespace torchsearch {

// What a search space said that a subnet costs. What numbers of the user's own change, no formula knows.
struct PromisedCosts {
  double params = 0;
  double size = 0;               // bytes
  std::optional<double> macs;    // none where such numbers were chosen
  std::optional<double> memory;  // bytes; likewise
};

// Records an exported subnet on the dummy input, and throws where it costs something else than was promised
// (ERR_EXPORT_COST), or where its outputs follow from other parameters than those of the model that it was
// made from, without the blocks that are left out: the others would get no gradient (ERR_EXPORT_MISMATCH).
void requireKeptPromises(Module& exported, const ConvertedModel& model, const std::vector<bool>& kept,
                         const PromisedCosts& promised);

}  // namespace torchsearch
