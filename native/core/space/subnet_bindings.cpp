#include "core/space/subnet_bindings.h"

#include <algorithm>
#include <utility>

#include "core/graph/operator_traits.h"
#include "core/graph/size_arguments.h"
#include "core/space/weight_norms.h"

namespace torchsearch {

namespace {

bool isContiguousRange(const std::vector<int64_t>& indices) {
  for (size_t i = 1; i < indices.size(); ++i) {
    if (indices[i] != indices[i - 1] + 1) return false;
  }
  return true;
}

// What a subnet keeps of a parameter or buffer.
at::Tensor narrowed(const Dependencies& dependencies, SlotId slot, const at::Tensor& tensor,
                    const std::vector<int64_t>& widths) {
  at::Tensor result = tensor;
  for (int64_t d = 0; d < tensor.dim(); ++d) {
    if (dependencies.labels(slot, d).empty()) continue;
    const auto kept = dependencies.kept(slot, d, widths);
    if (static_cast<int64_t>(kept.size()) == tensor.size(d)) continue;
    if (isContiguousRange(kept)) {
      result = result.narrow(d, kept.front(), static_cast<int64_t>(kept.size()));
    } else {
      result = result.index_select(d, at::tensor(kept, at::kLong).to(tensor.device()));
    }
  }
  return result;
}

// The module's bindings with `change(slot, value)` in place of each parameter and buffer.
template <typename Change>
Bindings bindStored(const Program& program, const torch::jit::Module& module, Change&& change) {
  Bindings bindings = bindModule(program, module);
  for (size_t i = 0; i < program.slots.size(); ++i) {
    if (!program.slots[i].isStored()) continue;
    auto& value = bindings.values[i];
    value = change(static_cast<SlotId>(i), value);
  }
  return bindings;
}

// The slots of a batch norm's running statistics, where it has some.
std::vector<SlotId> statisticsOf(const Instruction& norm) {
  std::vector<SlotId> slots;
  for (const char* name : {"running_mean", "running_var"}) {
    const auto& argument = norm.arguments[*norm.schema->argumentIndexWithName(name)];
    if (argument.isSlot()) slots.push_back(argument.slot);
  }
  return slots;
}

bool isRunningNorm(const Instruction& instruction) {
  return instruction.runs() && instruction.schema != nullptr &&
         instruction.schema->name() == "aten::batch_norm";
}

int32_t positionOf(const Instruction& instruction, const char* argument) {
  return *instruction.schema->argumentIndexWithName(argument);
}

}  // namespace

Bindings bindSubnet(const Program& program, const Dependencies& dependencies,
                    const torch::jit::Module& module, const Subnet& subnet, const SubnetTensors& own) {
  Bindings bindings = bindStored(program, module, [&](SlotId slot, const at::Tensor& value) {
    const auto found = own.find(program.slots[slot].name);
    if (found != own.end()) return found->second;
    const at::Tensor whole = subnet.custom.tensorFor(program.slots[slot], value);
    return narrowed(dependencies, slot, whole.detach(), subnet.widths);
  });
  std::vector<at::Tensor> stored;  // looked up where it is needed
  const auto whole = [&](SlotId slot) {
    if (stored.empty()) stored = bindModule(program, module).values;
    return subnet.custom.tensorFor(program.slots[slot], stored[slot]).detach();
  };
  keepWeightNorms(program, dependencies, subnet.widths, whole, bindings);
  bindings.overrides =
      mergedOverrides(sizeArguments(dependencies, subnet.widths), subnet.custom.numbersFor(program));
  return bindings;
}

Bindings bindSeparately(const Program& program, const Dependencies& dependencies,
                        const torch::jit::Module& module, const std::vector<int64_t>& widths) {
  Bindings bindings = bindStored(program, module, [&](SlotId slot, const at::Tensor& value) {
    return narrowed(dependencies, slot, value.detach(), widths).clone(at::MemoryFormat::Contiguous);
  });
  bindings.overrides = sizeArguments(dependencies, widths);
  return bindings;
}

Bindings bindForTraining(const Program& program, const Dependencies& dependencies,
                         const torch::jit::Module& module, const Subnet& subnet, bool leads) {
  Bindings bindings = bindStored(program, module, [&](SlotId slot, const at::Tensor& value) {
    return narrowed(dependencies, slot, value, subnet.widths);
  });
  std::vector<at::Tensor> stored;  // looked up where it is needed
  const auto whole = [&](SlotId slot) {
    if (stored.empty()) stored = bindModule(program, module).values;
    return stored[slot];
  };
  keepWeightNorms(program, dependencies, subnet.widths, whole, bindings);
  std::vector<ArgumentOverride> training;
  for (size_t i = 0; i < program.instructions.size(); ++i) {
    const auto& instruction = program.instructions[i];
    const auto index = static_cast<int32_t>(i);
    if (isRunningNorm(instruction)) {
      training.push_back({index, positionOf(instruction, "training"), true});
      if (leads) continue;
      for (const SlotId slot : statisticsOf(instruction)) {
        auto& value = bindings.values[slot];
        value = value.detach().clone();
      }
    } else if (leads && instruction.runs() && instruction.schema != nullptr &&
               traitsOf(instruction.schema->name()).isDropout) {
      training.push_back({index, positionOf(instruction, "train"), true});
    }
  }
  bindings.overrides = mergedOverrides(sizeArguments(dependencies, subnet.widths), training);
  return bindings;
}

Recalibration bindRecalibration(const Program& program, Bindings& bindings, SubnetTensors& statistics) {
  Recalibration recalibration;
  std::vector<ArgumentOverride> training;
  std::vector<std::pair<int32_t, int32_t>> momenta;
  for (size_t i = 0; i < program.instructions.size(); ++i) {
    const auto& instruction = program.instructions[i];
    if (!isRunningNorm(instruction)) continue;
    const auto slots = statisticsOf(instruction);
    for (const SlotId slot : slots) {
      auto& value = bindings.values[slot];
      auto& own = statistics[program.slots[slot].name];
      if (!own.defined()) own = value.clone();
      value = own;
    }
    if (slots.size() < 2) continue;  // it tracks none
    const auto index = static_cast<int32_t>(i);
    const int32_t momentum = positionOf(instruction, "momentum");
    recalibration.lastNorm = index;
    training.push_back({index, positionOf(instruction, "training"), true});
    training.push_back({index, momentum, 1.0});
    momenta.emplace_back(index, momentum);
  }
  bindings.overrides = mergedOverrides(std::move(bindings.overrides), training);
  for (size_t i = 0; i < bindings.overrides.size(); ++i) {
    const auto& item = bindings.overrides[i];
    if (std::binary_search(momenta.begin(), momenta.end(), std::make_pair(item.instruction, item.argument))) {
      recalibration.momenta.push_back(i);
    }
  }
  return recalibration;
}

void setMomenta(const Recalibration& recalibration, int64_t batches, Bindings& bindings) {
  const double momentum = 1.0 / static_cast<double>(batches + 1);
  for (const size_t at : recalibration.momenta) bindings.overrides[at].value = momentum;
}

}  // namespace torchsearch
