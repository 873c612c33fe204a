#pragma once

#include <memory>

#include "core/base/cancel.h"
#include "core/base/progress.h"
#include "core/call/inputs.h"
#include "core/graph/dependency.h"
#include "core/graph/inlined_graph.h"
#include "core/graph/residual_blocks.h"
#include "core/model/module.h"

namespace torchsearch {

// A model and what was found out about it on its dummy input. Doesn't change after the conversion.
struct ConvertedModel {
  std::shared_ptr<Module> module;
  Inputs dummyInput;  // on the module's device
  std::shared_ptr<InlinedGraph> graph;
  std::shared_ptr<const Program> program;
  std::shared_ptr<const Dependencies> dependencies;  // of that program
  ResidualBlocks blocks;                             // of the same program; empty when depth is not offered
};

// Records and analyses a model in evaluation mode. The caller holds the module's lock. ERR_INPUT,
// ERR_FORWARD, ERR_DATA_DEPENDENT, ERR_NO_PARAMETERS, ERR_UNSUPPORTED_GRAPH
std::shared_ptr<ConvertedModel> convertModel(const std::shared_ptr<Module>& module, const Inputs& dummyInput,
                                             bool depth, const CancelToken& cancel,
                                             const ProgressFn& progress);

// The full width of each group.
std::vector<int64_t> fullWidths(const Dependencies& dependencies);

}  // namespace torchsearch
