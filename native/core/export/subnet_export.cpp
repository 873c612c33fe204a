#include "core/export/subnet_export.h"

#include "core/export/block_removal.h"
#include "core/export/method_uses.h"
#include "core/export/module_pruning.h"
#include "core/export/subnet_guide.h"
#include "core/forward/executor.h"
#include "core/graph/call_rewrite.h"
#include "core/graph/container_attributes.h"
#include "core/graph/extra_methods.h"
#include "core/graph/generator_guard.h"
#include "core/graph/inlined_graph.h"
#include "core/graph/module_copy.h"
#include "core/graph/module_state.h"
#include "core/graph/recorder.h"

namespace torchsearch {

namespace {

// Which of the program's parameters and buffers are of another shape in the subnet, or gone.
std::vector<bool> changedTensors(const Program& program, const std::vector<at::Tensor>& whole,
                                 const std::vector<at::Tensor>& tensors, const ResidualBlocks& blocks,
                                 const std::vector<bool>& kept) {
  std::vector<bool> changed(program.slots.size(), false);
  for (size_t i = 0; i < changed.size(); ++i) {
    if (!program.slots[i].isStored()) continue;
    const bool goes = !blocks.blocks.empty() && !blocks.liveness.stored[i].holds(kept);
    changed[i] = goes || tensors[i].sizes() != whole[i].sizes();
  }
  return changed;
}

// Methods beside forward that use nothing of what has changed.
std::vector<ExtraMethod> unaffectedMethods(const torch::jit::Module& copy, const Program& program,
                                           const std::vector<bool>& changed) {
  std::vector<ExtraMethod> methods;
  for (auto& method : extraMethods(copy, MethodGraphs::kInPlace)) {
    if (methodUses(method, copy, program, changed).empty()) methods.push_back(std::move(method));
  }
  return methods;
}

}  // namespace

torch::jit::Module exportSubnetModule(const torch::jit::Module& module, const Dependencies& dependencies,
                                      const std::vector<at::Tensor>& tensors,
                                      const std::vector<ArgumentOverride>& overrides,
                                      const ResidualBlocks& blocks, const std::vector<bool>& kept,
                                      const Inputs& dummyInput, const CancelToken& cancel) {
  const at::NoGradGuard noGrad;
  const Program& program = dependencies.program();
  const auto whole = bindModule(program, module).values;
  // In place: the copy has types of its own but shares tensors, which are replaced one by one.
  torch::jit::Module copy = module.clone(/*inplace=*/true);
  TensorReplacements replacements;
  for (size_t i = 0; i < program.slots.size(); ++i) {
    if (!program.slots[i].isStored()) continue;
    at::Tensor own = tensors[i].detach().clone(at::MemoryFormat::Contiguous);
    own.set_requires_grad(whole[i].requires_grad());
    replacements.emplace(whole[i].unsafeGetTensorImpl(), std::move(own));
  }
  // Before the tensors are replaced: containers hold those that the module was loaded with.
  const auto target = InlinedGraph::inPlace(copy, InlinedGraph::FusedAttention::kAvoid);
  const auto containers = parameterContainers(copy);
  replaceTensors(copy, replacements);
  CallRewrite rewrite;
  SubnetGuide guide(*target, dependencies, overrides, rewrite);
  {
    const GeneratorGuard generator;
    const ModuleState state(copy);
    copy.eval();  // as it was recorded
    auto arguments = arrangeInputs(*target, copied(dummyInput));
    auto values = bindModule(program, copy).values;
    std::vector<at::Tensor> inputs;
    for (size_t i = 1; i < arguments.size(); ++i) collectTensors(arguments[i], inputs);
    for (size_t i = 0; i < inputs.size(); ++i) values.at(program.inputs.at(i)) = inputs[i];
    guide.bind(values);
    InterpreterOptions options;
    options.speculate = true;
    options.guide = &guide;
    Interpreter(*target, options, &guide, cancel).run(std::move(arguments));
  }
  guide.finish();
  rewrite.apply([&](const torch::jit::Value* value) { return guide.varies(value); });
  const auto methods =
      unaffectedMethods(copy, program, changedTensors(program, whole, tensors, blocks, kept));
  removeBlocks(copy, *target, program, blocks, kept);
  // What is read from the parameters themselves is no second copy of them in the file.
  removeAttributes(copy, target->graph(), containers);
  removeMethods(copy, methods);
  return copy;
}

}  // namespace torchsearch
