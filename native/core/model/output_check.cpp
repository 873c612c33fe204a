#include "core/model/output_check.h"

#include <torch/csrc/jit/runtime/graph_executor.h>

#include "core/base/error.h"
#include "core/forward/agreement.h"
#include "core/graph/generator_guard.h"
#include "core/graph/module_state.h"
#include "core/graph/recorder.h"
#include "core/model/mode_guard.h"

namespace torchsearch {

std::vector<at::Tensor> outputsWithoutTrace(const torch::jit::Module& module,
                                            const std::function<c10::IValue()>& run) {
  const GeneratorGuard generator;
  const ModuleState state(module);
  std::vector<at::Tensor> outputs;
  collectTensors(run(), outputs);
  // Copies: an output may be a buffer, which is about to be put back.
  for (auto& output : outputs) output = output.detach().clone();
  return outputs;
}

std::vector<at::Tensor> outputsWithoutTrace(Module& module, const Inputs& inputs) {
  const ModeGuard evaluation(module, /*training=*/false);
  // Optimizing a graph for its only run takes far longer than the run, and grows faster than the graph.
  const torch::jit::GraphOptimizerEnabledGuard plain(false);
  return outputsWithoutTrace(module.jit(), [&] { return module.forward(copied(inputs), CancelToken()); });
}

void requireSameOutputs(const std::vector<at::Tensor>& actual, const std::vector<at::Tensor>& expected,
                        const std::string& complaint) {
  if (!agree(actual, expected)) throw Error("ERR_EXPORT_MISMATCH", complaint);
}

}  // namespace torchsearch
