#pragma once

#include <torch/script.h>

#include <cstdint>
#include <map>
#include <unordered_map>
#include <utility>
#include <vector>

#include "core/graph/argument_override.h"
#include "core/graph/call_rewrite.h"
#include "core/graph/dependency.h"
#include "core/graph/interpreter.h"

namespace torchsearch {

// Leads the interpreter through another copy of a recorded graph, whose weights are a subnet's, along the
// path of the recorded program: operator by operator the same instructions, with the subnet's arguments.
// Where the graph would do something else by itself, `rewrite` learns of it.
class SubnetGuide : public InterpreterObserver, public InterpreterGuide {
 public:
  // `overrides` are what the subnet's arguments differ in from the recorded ones.
  SubnetGuide(const InlinedGraph& target, const Dependencies& dependencies,
              const std::vector<ArgumentOverride>& overrides, CallRewrite& rewrite);

  // The tensors of the target's module and of the inputs, by the program's slots.
  void bind(const std::vector<at::Tensor>& values);

  // Once the run is over: instructions of branches that could not run get their overrides too.
  void finish();

  // Whether a number may differ at another shape of inputs: it is computed from a size that is no number of
  // channels.
  bool varies(const torch::jit::Value* value) const;

  torch::jit::Operation* beforeOperator(torch::jit::Node* node, torch::jit::Operation& operation,
                                        std::vector<c10::IValue>& arguments) override;
  int64_t decide(torch::jit::Node* node, int64_t value) override;
  bool speculatesAt(torch::jit::Node* node) override;

  void onOperator(torch::jit::Node* node, const torch::jit::Operation& operation,
                  const std::vector<c10::IValue>& arguments, const std::vector<c10::IValue>& results,
                  bool speculative) override;
  void onAttributeSet(torch::jit::Node*, const c10::IValue&, bool) override {}
  void onDecision(torch::jit::Node*, int64_t, bool) override {}
  void onSpeculationBegin() override;
  void onSpeculationEnd(bool failed, const std::vector<c10::IValue>& outputs) override;
  void onJoin(const std::vector<c10::IValue>&) override {}

 private:
  using Cursor = std::pair<size_t, size_t>;  // the next instruction and the next decision

  [[noreturn]] void lost(const torch::jit::Node* node) const;
  bool sameNode(const torch::jit::Node* recorded, const torch::jit::Node* node) const;
  const c10::IValue& wanted(size_t instruction, int32_t argument) const;
  bool compare(torch::jit::Node* node, int32_t argument, const c10::IValue& actual,
               const c10::IValue& wanted);
  torch::jit::Operation* cut(torch::jit::Node* node, torch::jit::Operation& operation, size_t instruction,
                             std::vector<c10::IValue>& arguments);
  void learn(const ValueTree& tree, const c10::IValue& value);

  const InlinedGraph& target_;
  const Dependencies& dependencies_;
  const Program& program_;
  CallRewrite& rewrite_;
  std::map<std::pair<size_t, int32_t>, c10::IValue> overrides_;  // by instruction and argument
  std::vector<bool> visited_;                                    // by instruction
  Cursor next_ = {0, 0};
  std::vector<Cursor> ends_;  // of the open speculations
  std::unordered_map<const c10::TensorImpl*, SlotId> slotOf_;
  std::unordered_map<const torch::jit::Node*, SlotId> sizedBy_;  // whose size an aten::size told
  torch::jit::Operation splitWithSizes_;
};

}  // namespace torchsearch
