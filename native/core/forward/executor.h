#pragma once

#include <torch/script.h>

#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "core/base/cancel.h"
#include "core/call/forwardable.h"
#include "core/forward/execution_plan.h"
#include "core/graph/argument_override.h"

namespace torchsearch {

class PreparedProgram;

// What a run computes with, beside its inputs.
struct Bindings {
  std::vector<at::Tensor> values;           // by SlotId: parameters, buffers and constants, whole or narrowed
  std::vector<ArgumentOverride> overrides;  // ascending by instruction, then argument
  // Steps that run in place of instructions (ProgramPreparer); null for none. With some, a run can be
  // captured and resumed only where PreparedProgram::canStopBefore says so, and not be observed.
  std::shared_ptr<const PreparedProgram> prepared;
};

// The tensors alive just before an instruction, from which a later run can go on.
struct Activations {
  int32_t instruction = 0;  // the first one not yet run
  std::vector<std::pair<SlotId, at::Tensor>> tensors;
};

// Sees each instruction that runs; of a prepared step the first one. `values` are the tensors by SlotId.
class ExecutionObserver {
 public:
  virtual ~ExecutionObserver() = default;
  virtual void beforeInstruction(int32_t instruction, const std::vector<at::Tensor>& values) = 0;
  virtual void afterInstruction(int32_t instruction, const std::vector<at::Tensor>& values) = 0;
};

struct RunOptions {
  ExecutionObserver* observer = nullptr;
  // Go on from here. Inputs may be left out of it, or of the call, but not of both where they are read later.
  const Activations* resumeFrom = nullptr;
  // Fill each with what is alive just before its instruction. Ascending; none before `resumeFrom`.
  std::vector<Activations>* captures = nullptr;
  // Run no instruction from this one on; the output is None then.
  int32_t stopBefore = std::numeric_limits<int32_t>::max();
};

// Runs a program's straight line of operators. Holds scratch space: one thread at a time. The caller decides
// whether gradients are recorded.
class Executor {
 public:
  explicit Executor(std::shared_ptr<const ExecutionPlan> plan);

  const ExecutionPlan& plan() const { return *plan_; }

  // `inputs` in the order of Program::inputs. ERR_FORWARD names the operator that failed; ERR_ABORTED.
  c10::IValue run(const Bindings& bindings, const std::vector<at::Tensor>& inputs, const CancelToken& cancel,
                  const RunOptions& options = {});

 private:
  void drop();
  void load(const Bindings& bindings, const std::vector<at::Tensor>& inputs, const RunOptions& options);
  void loop(const Bindings& bindings, const CancelToken& cancel, const RunOptions& options);
  void loopPrepared(const Bindings& bindings, const CancelToken& cancel, const RunOptions& options);
  void step(int32_t index, const ArgumentOverride*& nextOverride, const ArgumentOverride* lastOverride);
  void store(const ValueTree& tree, const c10::IValue& value);
  void capture(Activations& captured) const;
  void push(const ValueTree& tree);

  std::shared_ptr<const ExecutionPlan> plan_;
  std::vector<torch::jit::Operation> operations_;  // own copies: calling one is not const
  std::vector<at::Tensor> values_;                 // by SlotId
  torch::jit::Stack stack_;
  int32_t current_ = 0;
};

// The value a tree stands for, given the tensors by SlotId.
c10::IValue materialize(const ValueTree& tree, const std::vector<at::Tensor>& values);

// The whole model's bindings: every parameter, buffer and constant at full width.
Bindings bindModule(const Program& program, const torch::jit::Module& module);

// The tensors of a call in the order of Program::inputs. ERR_INPUT where they do not fit the graph.
std::vector<at::Tensor> inputTensors(const InlinedGraph& graph, const Inputs& inputs);

}  // namespace torchsearch
