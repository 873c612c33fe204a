#include "core/space/subnet_export.h"

#include <unordered_map>

#include "core/error.h"
#include "core/graph/inlined_graph.h"

namespace torchsearch {

namespace {

using Replacements = std::unordered_map<const c10::TensorImpl*, at::Tensor>;

void replaceTensors(const torch::jit::Module& module, const Replacements& replacements) {
  const auto object = module._ivalue();
  const auto type = module.type();
  for (size_t i = 0; i < type->numAttributes(); ++i) {
    const c10::IValue value = object->getSlot(i);
    if (value.isModule()) {
      replaceTensors(value.toModule(), replacements);
    } else if (value.isTensor() && value.toTensor().defined()) {
      const auto found = replacements.find(value.toTensor().unsafeGetTensorImpl());
      if (found != replacements.end()) object->setSlot(i, found->second);
    }
  }
}

// Methods other than the rewritten forward still hold the full model's sizes.
void removeMethods(const torch::jit::Module& module, bool isRoot) {
  const auto type = module.type();
  std::vector<std::string> names;
  for (const auto* method : type->methods()) {
    if (!isRoot || method->name() != "forward") names.push_back(method->name());
  }
  for (const auto& name : names) type->unsafeRemoveMethod(name);
  for (const auto& child : module.children()) removeMethods(child, false);
}

bool sameInts(const c10::IValue& a, const c10::IValue& b) {
  if (a.isInt() && b.isInt()) return a.toInt() == b.toInt();
  return a.isIntList() && b.isIntList() && a.toIntVector() == b.toIntVector();
}

void rewrite(const InlinedGraph& target, const Program& program, const std::vector<ArgumentOverride>& sizes) {
  std::unordered_map<const torch::jit::Value*, c10::IValue> done;
  for (const auto& size : sizes) {
    const auto* recorded = program.instructions[size.instruction].node;
    torch::jit::Node* node = target.nodes().at(program.graph->indexOf(recorded));
    TORCH_CHECK(node->kind() == recorded->kind(), "the module's graph changed since it was recorded");
    const auto replaced = done.find(node->inputs()[size.argument]);
    if (replaced != done.end()) {
      if (sameInts(replaced->second, size.value)) continue;
      throw Error(
          "ERR_EXPORT_CONFLICT",
          "One call of '" + std::string(node->kind().toQualString()) +
              "' runs several times with sizes that differ in the subnet. Unroll the loop around it.");
    }
    const torch::jit::WithInsertPoint insertBefore(node);
    torch::jit::Value* constant = node->owningGraph()->insertConstant(size.value);
    node->replaceInput(size.argument, constant);
    done.emplace(constant, size.value);
  }
}

}  // namespace

torch::jit::Module exportSubnetModule(const torch::jit::Module& module, const Program& program,
                                      const std::vector<at::Tensor>& tensors,
                                      const std::vector<ArgumentOverride>& sizes) {
  const at::NoGradGuard noGrad;
  const auto whole = bindModule(program, module).values;
  // In place: the copy has types of its own but shares tensors, which are replaced one by one.
  torch::jit::Module copy = module.clone(/*inplace=*/true);
  Replacements replacements;
  for (size_t i = 0; i < program.slots.size(); ++i) {
    if (!program.slots[i].isStored()) continue;
    at::Tensor own = tensors[i].detach().clone(at::MemoryFormat::Contiguous);
    own.set_requires_grad(whole[i].requires_grad());
    replacements.emplace(whole[i].unsafeGetTensorImpl(), std::move(own));
  }
  replaceTensors(copy, replacements);
  const auto target = InlinedGraph::inPlace(copy, InlinedGraph::FusedAttention::kAvoid);
  rewrite(*target, program, sizes);
  removeMethods(copy, true);
  return copy;
}

}  // namespace torchsearch
