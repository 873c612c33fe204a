#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "core/forward/fusion_plan.h"
#include "core/forward/weight_cache.h"

namespace torchsearch {

// Something that runs in place of instructions. `values` are the tensors by SlotId.
class PreparedStep {
 public:
  virtual ~PreparedStep() = default;
  virtual void run(std::vector<at::Tensor>& values) const = 0;
};

// A program made ready for weights that stay: what runs in place of which instructions. They keep their
// numbers; those that a step stands for do nothing.
class PreparedProgram {
 public:
  enum class Role : uint8_t { kItself, kStep, kAbsorbed };

  explicit PreparedProgram(std::shared_ptr<const FusionPlan> plan);

  Role roleOf(int32_t instruction) const { return roles_[instruction]; }
  const PreparedStep& stepAt(int32_t instruction) const { return *steps_[instruction]; }
  // Whether a run may end, be captured or be resumed just before this instruction: not amid what one step
  // computes.
  bool canStopBefore(int32_t instruction) const { return !amid_[instruction]; }
  // The first place from `instruction` on where it may.
  int32_t stopFrom(int32_t instruction) const {
    while (amid_[instruction]) ++instruction;
    return instruction;
  }
  // Ascending by instruction.
  const std::vector<Relayout>& relayouts() const { return plan_->relayouts(); }
  // Whether the tensors that it was made of are as they were then.
  bool isCurrent() const;

 private:
  friend class ProgramPreparer;
  void add(const FusedChain& chain, std::unique_ptr<PreparedStep> step);

  std::shared_ptr<const FusionPlan> plan_;
  std::vector<Role> roles_;
  std::vector<std::unique_ptr<PreparedStep>> steps_;
  std::vector<bool> amid_;
  std::vector<WeightSources> sources_;
};

struct Bindings;

// Prepares programs for bindings. What is computed from weights is kept, and computed again only for those
// that differ; it may be shared by programs whose instructions have the same numbers.
class ProgramPreparer {
 public:
  ProgramPreparer(std::shared_ptr<const ExecutionPlan> plan, std::shared_ptr<WeightCache> cache,
                  Norms norms = Norms::kFolded);

  // Sets `bindings.prepared`, by fixed rules of operators, shapes, and dtypes: the same bindings are always
  // prepared alike. Narrow views of weights become contiguous copies. Sets nothing where folded weights are
  // not finite numbers.
  void prepare(Bindings& bindings) const;
  // The latter only.
  void makeContiguous(Bindings& bindings) const;

 private:
  std::unique_ptr<PreparedStep> prepareChain(const FusedChain& chain, const Bindings& bindings,
                                             std::vector<WeightSources>& sources, bool& finite) const;
  void copyNarrow(Bindings& bindings, const std::vector<size_t>& preparedUses,
                  std::vector<WeightSources>* sources) const;

  std::shared_ptr<const FusionPlan> plan_;
  std::shared_ptr<WeightCache> cache_;
};

}  // namespace torchsearch
