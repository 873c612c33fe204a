#include "core/space/export_losses.h"

#include <algorithm>
#include <set>

#include "core/export/method_uses.h"
#include "core/graph/extra_methods.h"

namespace torchsearch {

namespace {

// By slot: whether a subnet may have another shape of it, or not have it.
std::vector<bool> mayChange(const ConvertedModel& model) {
  const Program& program = *model.program;
  std::vector<bool> may(program.slots.size(), false);
  for (size_t slot = 0; slot < may.size(); ++slot) {
    if (!program.slots[slot].isStored()) continue;
    may[slot] = !model.blocks.blocks.empty() && !model.blocks.liveness.stored[slot].isAlways();
    for (size_t d = 0; d < program.slots[slot].sizes.size() && !may[slot]; ++d) {
      const auto& labels = model.dependencies->labels(static_cast<SlotId>(slot), static_cast<int64_t>(d));
      may[slot] = std::any_of(labels.begin(), labels.end(),
                              [&](Atom atom) { return model.dependencies->placeOf(atom).group != kNoGroup; });
    }
  }
  return may;
}

bool asksForTraining(const torch::jit::Value* condition) {
  const auto* node = condition->node();
  if (node->kind() == torch::jit::prim::GetAttr) return node->s(torch::jit::attr::name) == "training";
  return node->kind() == torch::jit::aten::__not__ && asksForTraining(node->inputs()[0]);
}

}  // namespace

std::vector<std::string> exportLosses(const ConvertedModel& model) {
  std::vector<std::string> losses;
  const auto& module = model.module->jit();
  const auto changes = mayChange(model);
  for (const auto& method : extraMethods(module, MethodGraphs::kCopied)) {
    if (method.servesForward) continue;
    const auto used = methodUses(method, module, *model.program, changes);
    if (used.empty()) continue;
    losses.push_back("Exported subnets are without the method '" + method.name + "' where '" + used +
                     "', which it uses, is narrowed.");
  }
  for (const auto& path : uncalledMethods(module)) {
    losses.push_back("Exported subnets are without the method '" + path +
                     "': submodules' methods become part of forward.");
  }
  std::set<std::string> modules;
  for (const int32_t decision : model.dependencies->givenUp()) {
    const auto* node = model.program->decisions[decision].node;
    if (asksForTraining(node->inputs()[0])) modules.insert(modulePath(node));
  }
  for (const auto& path : modules) {
    losses.push_back("Exported subnets do in training mode what they do in evaluation mode" +
                     (path.empty() ? std::string() : " in '" + path + "'") +
                     ": the branch for training can't be narrowed along.");
  }
  return losses;
}

}  // namespace torchsearch
