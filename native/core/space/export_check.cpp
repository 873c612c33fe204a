#include "core/space/export_check.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <set>
#include <string>
#include <unordered_map>

#include "core/base/error.h"
#include "core/call/arguments.h"
#include "core/graph/operator_traits.h"
#include "core/graph/recorder.h"
#include "core/graph/size_arithmetic.h"
#include "core/model/mode_guard.h"
#include "core/profile/profile.h"

namespace torchsearch {
namespace {

void requireCost(const char* name, double promised, int64_t found, int64_t within = 0) {
  if (std::abs(std::llround(promised) - found) <= within) return;
  throw Error("ERR_EXPORT_COST",
              "The exported subnet would have " + std::to_string(found) + " " + name +
                  ", and the space said " + std::to_string(std::llround(promised)) +
                  ", so it was not given out. Please report the model; other widths, or keeping the blocks "
                  "that are left out, may work.");
}

// Bytes of the sizes that a trace wraps as tensors of one int64 each. An export computes some of them
// earlier, later or not at all, so that many may be there at the peak that the space has not counted, or the
// other way round.
int64_t bytesOfSizes(const Program& program) {
  return 8 * std::count_if(program.instructions.begin(), program.instructions.end(),
                           [](const auto& each) { return each.runs() && isSizeArithmetic(each.node); });
}

// The parameters whose numbers instructions read.
template <typename Runs>
std::set<std::string> parametersRead(const Program& program, Runs&& runs) {
  std::set<std::string> names;
  for (size_t i = 0; i < program.instructions.size(); ++i) {
    if (!program.instructions[i].runs() || !runs(i)) continue;
    const auto& instruction = program.instructions[i];
    for (size_t a = 0; a < instruction.arguments.size(); ++a) {
      if (askedOf(*instruction.schema, a) != Asked::kNumbers) continue;
      forEachSlot(instruction.arguments[a], [&](SlotId slot) {
        if (program.slots[slot].kind == Slot::Kind::kParameter) names.insert(program.slots[slot].name);
      });
    }
  }
  return names;
}

// One that the export reads has its other names left, where the first one went with a block.
std::set<std::string> firstNames(const std::set<std::string>& names, const Program& source) {
  std::unordered_map<const c10::TensorImpl*, std::string> first;
  std::unordered_map<std::string, std::string> of;
  for (const auto& item : source.graph->module().named_parameters()) {
    const auto known = first.emplace(item.value.unsafeGetTensorImpl(), item.name).first;
    of.emplace(item.name, known->second);
  }
  std::set<std::string> result;
  for (const auto& name : names) {
    const auto found = of.find(name);
    result.insert(found == of.end() ? name : found->second);
  }
  return result;
}

void requireSameParameters(const Program& exported, const ConvertedModel& model,
                           const std::vector<bool>& kept) {
  const Program& source = *model.program;
  const auto runs = [&](size_t i) {
    return kept.empty() || model.blocks.liveness.instructions[i].holds(kept);
  };
  const auto wanted = parametersRead(source, runs);
  const auto found = firstNames(parametersRead(exported, [](size_t) { return true; }), source);
  std::set<std::string> lost;
  std::set_difference(wanted.begin(), wanted.end(), found.begin(), found.end(),
                      std::inserter(lost, lost.end()));
  if (lost.empty()) return;
  throw Error(
      "ERR_EXPORT_MISMATCH",
      "The exported subnet would not compute with its parameter '" + *lost.begin() +
          "', which training, load_state_dict and conversions change, so it was not given out. Please "
          "report the model.");
}

}  // namespace

void requireKeptPromises(Module& exported, const ConvertedModel& model, const std::vector<bool>& kept,
                         const PromisedCosts& promised) {
  const ModeGuard evaluation(exported, /*training=*/false);
  const auto graph = InlinedGraph::copyOf(exported.jit(), InlinedGraph::FusedAttention::kKeep);
  const auto program = record(graph, copied(model.dummyInput), {}, CancelToken()).program;
  const Profile fresh = staticProfile(exported, *program);
  requireCost("parameters", promised.params, fresh.params);
  requireCost("bytes of parameters and buffers", promised.size, fresh.size);
  if (promised.macs) requireCost("multiply-adds", *promised.macs, fresh.macs);
  if (promised.memory) {
    requireCost("bytes of memory at its peak", *promised.memory, fresh.memory, bytesOfSizes(*program));
  }
  requireSameParameters(*program, model, kept);
}

}  // namespace torchsearch
