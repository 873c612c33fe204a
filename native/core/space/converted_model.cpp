#include "core/space/converted_model.h"

#include <algorithm>

#include "core/base/error.h"
#include "core/call/arguments.h"
#include "core/export/block_removal.h"
#include "core/graph/data_dependence.h"
#include "core/graph/recorder.h"
#include "core/model/mode_guard.h"

namespace torchsearch {

namespace {

// Whether a program can be analysed for subnets at all.
void requireAnalysable(const Program& program) {
  if (program.dataDependent) refuseDataDependence(program, "its subnets can't be analysed");
  if (std::none_of(program.slots.begin(), program.slots.end(),
                   [](const Slot& slot) { return slot.kind == Slot::Kind::kParameter; })) {
    throw Error("ERR_NO_PARAMETERS",
                "The model has no parameters that could be narrowed: its weights are quantized, or were made "
                "constants by freezing. Convert the model as it was before that.");
  }
  if (!program.carriedState.empty()) {
    throw Error(
        "ERR_UNSUPPORTED_GRAPH",
        "The model's forward keeps results in its attribute '" + program.carriedState +
            "' for the next call, so what a subnet computes would depend on the calls before it. Pass "
            "that state in and out of forward instead.");
  }
}

}  // namespace

std::shared_ptr<ConvertedModel> convertModel(const std::shared_ptr<Module>& module, const Inputs& dummyInput,
                                             bool depth, const CancelToken& cancel,
                                             const ProgressFn& progress) {
  const ModeGuard evaluation(*module, /*training=*/false);
  const auto model = std::make_shared<ConvertedModel>();
  model->module = module;
  model->graph = InlinedGraph::copyOf(module->jit(), InlinedGraph::FusedAttention::kAvoid);
  model->dummyInput = onDevice(dummyInput, module->device());
  if (progress) progress({0, 3, "record"});
  RecordOptions options;
  options.speculate = true;
  options.splitBySizes = true;
  model->program = record(model->graph, model->dummyInput, options, cancel).program;
  requireAnalysable(*model->program);
  if (progress) progress({1, 3, "analyse"});
  model->dependencies = std::make_shared<const Dependencies>(model->program);
  cancel.throwIfCancelled();
  if (depth) {
    model->blocks = findResidualBlocks(*model->program);
    keepLeftovers(*model->program, model->blocks,
                  leftoversWithoutBlocks(module->jit(), *model->program, model->blocks));
  }
  return model;
}

std::vector<int64_t> fullWidths(const Dependencies& dependencies) {
  std::vector<int64_t> widths(dependencies.groupCount());
  for (size_t g = 0; g < widths.size(); ++g) widths[g] = dependencies.groupSize(static_cast<int32_t>(g));
  return widths;
}

}  // namespace torchsearch
