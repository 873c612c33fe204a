#include "core/space/subnet_export.h"

#include "core/graph/call_rewrite.h"
#include "core/graph/generator_guard.h"
#include "core/graph/inlined_graph.h"
#include "core/graph/module_copy.h"
#include "core/graph/module_state.h"
#include "core/graph/recorder.h"
#include "core/space/block_removal.h"
#include "core/space/subnet_guide.h"

namespace torchsearch {

namespace {

// What a forward may differ in for rounding alone: narrow weights are views in a search space, of other
// strides.
struct Tolerance {
  double relative;
  double absolute;
};

Tolerance toleranceOf(at::ScalarType dtype) {
  switch (dtype) {
    case at::kDouble:
    case at::kComplexDouble:
      return {1e-9, 1e-9};
    case at::kHalf:
      return {1e-2, 1e-3};
    case at::kBFloat16:
      return {5e-2, 1e-2};
    default:
      return {1e-4, 1e-5};
  }
}

}  // namespace

Inputs copied(const Inputs& inputs) {
  const auto copy = [](const c10::IValue& value) { return value.deepcopy(); };
  Inputs result;
  for (const auto& value : inputs.args) result.args.push_back(copy(value));
  for (const auto& [name, value] : inputs.kwargs) result.kwargs.emplace(name, copy(value));
  return result;
}

bool agrees(const at::Tensor& actual, const at::Tensor& expected) {
  if (actual.sizes() != expected.sizes() || actual.scalar_type() != expected.scalar_type()) return false;
  if (actual.numel() == 0) return true;
  if (!at::isFloatingType(expected.scalar_type()) && !at::isComplexType(expected.scalar_type())) {
    return at::equal(actual, expected);
  }
  const at::Tensor a =
      actual.to(at::isComplexType(expected.scalar_type()) ? at::kComplexDouble : at::kDouble);
  const at::Tensor e = expected.to(a.scalar_type());
  const auto [relative, absolute] = toleranceOf(expected.scalar_type());
  // Relative to the largest element: in a sum that cancels out, small ones carry the rounding of large ones.
  const at::Tensor magnitudes = e.abs();
  const at::Tensor finite = at::where(magnitudes.isfinite(), magnitudes, at::zeros_like(magnitudes));
  const double allowed = relative * finite.max().item<double>() + absolute;
  return at::allclose(a, e, /*rtol=*/0, allowed, /*equal_nan=*/true);
}

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
  replaceTensors(copy, replacements);
  const auto target = InlinedGraph::inPlace(copy, InlinedGraph::FusedAttention::kAvoid);
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
  removeMethods(copy);
  removeBlocks(copy, *target, program, blocks, kept);
  return copy;
}

}  // namespace torchsearch
