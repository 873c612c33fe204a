#include "core/profile/profile.h"

#include <algorithm>
#include <memory>
#include <set>
#include <tuple>
#include <utility>

#include "core/graph/module_state.h"
#include "core/graph/recorder.h"
#include "core/profile/memory_plan.h"

namespace torchsearch {

namespace {

// Timing each operator disturbs what is timed, and its median settles sooner than the whole's quantiles.
constexpr int32_t kMaxOperatorRepeats = 10;

// Shared parameters are separate tensors over one memory once a file was loaded.
int64_t countParameters(const torch::jit::Module& module) {
  std::set<std::tuple<const void*, std::vector<int64_t>, std::vector<int64_t>>> seen;
  int64_t total = 0;
  for (const auto& parameter : module.parameters()) {
    if (parameter.numel() == 0) continue;
    const auto key =
        std::make_tuple(parameter.const_data_ptr(), parameter.sizes().vec(), parameter.strides().vec());
    if (seen.insert(key).second) total += parameter.numel();
  }
  return total;
}

int64_t peakActivations(const Program& program) {
  const MemoryPlan plan(program, {});
  std::vector<double> bytes;
  for (const SlotId slot : plan.owners()) bytes.push_back(static_cast<double>(program.slots[slot].bytes));
  return static_cast<int64_t>(plan.peak(bytes, {}));
}

std::vector<std::string> notesOn(const Program& program, int64_t params) {
  std::vector<std::string> notes;
  if (program.dataDependent) {
    notes.push_back("What ran depended on the values of the inputs (" + program.dataDependence +
                    "): other inputs of the same shape may cost more or less.");
  }
  int64_t constants = 0;
  for (const auto& slot : program.slots) {
    if (slot.kind == Slot::Kind::kConstant && slot.constant.is_floating_point())
      constants += slot.constant.numel();
  }
  if (params == 0 && constants > 0) {
    notes.push_back(
        "The model holds no parameters, but " + std::to_string(constants) +
        " constant values: it was frozen. Save it before torch.jit.freeze to see its parameters.");
  }
  return notes;
}

}  // namespace

Profile staticProfile(Module& module, const Program& program) {
  Profile profile;
  profile.params = countParameters(module.jit());
  profile.size = module.bytes();
  profile.device = module.device().str();
  profile.operators = profileOperators(program);
  for (const auto& row : profile.operators) profile.macs += row.macs;
  profile.memory = profile.size + peakActivations(program);
  profile.notes = notesOn(program, profile.params);
  return profile;
}

Profile profileModule(Module& module, const Inputs& inputs, const ProfileOptions& options,
                      const CancelToken& cancel, const ProgressFn& progress) {
  const auto lock = module.lock();
  const torch::jit::Module jit = module.jit();
  const ModuleState untouched(jit);  // profiling is not to leave a trace
  if (progress) progress({0, 1, "record"});
  const auto graph = InlinedGraph::copyOf(jit, InlinedGraph::FusedAttention::kKeep);
  const std::shared_ptr<const Program> program = record(graph, inputs, {}, cancel).program;
  if (progress) progress({1, 1, "record"});
  Profile profile = staticProfile(module, *program);
  if (!options.latency) return profile;

  Executor executor(std::make_shared<const ExecutionPlan>(program));
  const Bindings bindings = bindModule(*program, jit);
  const auto tensors = inputTensors(*graph, inputs);
  profile.latency =
      measureLatency(executor, bindings, tensors, module.device(), options.timing, cancel, progress);
  LatencyOptions perOperator = options.timing;
  perOperator.repeats = std::min(perOperator.repeats, kMaxOperatorRepeats);
  const auto medians =
      measureInstructions(executor, bindings, tensors, module.device(), perOperator, cancel, progress);
  size_t row = 0;
  for (size_t i = 0; i < program->instructions.size(); ++i) {
    if (!program->instructions[i].speculative) profile.operators[row++].latencyMs = medians[i];
  }
  return profile;
}

}  // namespace torchsearch
