// The part of a search space that lets its shared weights be trained.
#include <utility>

#include "core/call/arguments.h"
#include "core/graph/operator_kind.h"
#include "core/graph/size_arguments.h"
#include "core/space/search_space.h"
#include "core/space/search_space_program.h"

namespace torchsearch {

c10::IValue SearchSpace::forwardInTraining(const Inputs& inputs, const std::vector<int64_t>& values,
                                           bool leads) {
  const auto moduleLock = module_->lock();
  const std::lock_guard<std::recursive_mutex> lock(mutex_);
  const Subnet subnet = subnetOf(values);
  const Inputs moved = onDevice(inputs, module_->device());
  auto& entry = [&]() -> ShapeProgram& {
    const at::NoGradGuard noGrad;
    return programFor(moved, CancelToken());
  }();
  entry.run(keptIn(entry, subnet.kept));
  entry.selection = -1;  // what is selected has to be bound again
  const Program& program = *entry.running;

  const at::AutoGradMode recording(true);
  Bindings bindings = bindModule(program, module_->jit());
  for (size_t i = 0; i < program.slots.size(); ++i) {
    if (!program.slots[i].isStored()) continue;
    auto& value = bindings.values[i];
    value = narrowView(*entry.dependencies, static_cast<SlotId>(i), value, subnet.widths);
  }
  std::vector<ArgumentOverride> training;
  for (size_t i = 0; i < program.instructions.size(); ++i) {
    const auto& instruction = program.instructions[i];
    if (!instruction.runs() || instruction.schema == nullptr) continue;
    const auto& schema = *instruction.schema;
    const auto index = static_cast<int32_t>(i);
    if (schema.name() == "aten::batch_norm") {
      training.push_back({index, *schema.argumentIndexWithName("training"), true});
      if (leads) continue;
      for (const char* name : {"running_mean", "running_var"}) {
        const auto& argument = instruction.arguments[*schema.argumentIndexWithName(name)];
        if (!argument.isSlot()) continue;
        auto& value = bindings.values[argument.slot];
        value = value.detach().clone();
      }
    } else if (leads && isDropout(schema.name())) {
      training.push_back({index, *schema.argumentIndexWithName("train"), true});
    }
  }
  bindings.overrides = mergedOverrides(sizeArguments(*entry.dependencies, subnet.widths), training);
  return entry.executor.run(bindings, inputTensors(*graph_, moved), CancelToken());
}

void SearchSpace::weightsChanged() {
  const std::lock_guard<std::mutex> lock(wantedMutex_);
  ++wanted_.version;
  ++wanted_.statistics;
}

}  // namespace torchsearch
