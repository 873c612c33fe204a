#pragma once

#include <torch/csrc/jit/ir/ir.h>
#include <torch/script.h>

#include <optional>
#include <unordered_map>
#include <utility>
#include <vector>

#include "core/base/cancel.h"
#include "core/graph/inlined_graph.h"

namespace torchsearch {

// Sees every node that the interpreter executes.
class InterpreterObserver {
 public:
  virtual ~InterpreterObserver() = default;
  // After an operator ran. `arguments` are as they were before it.
  virtual void onOperator(torch::jit::Node* node, const torch::jit::Operation& operation,
                          const std::vector<c10::IValue>& arguments, const std::vector<c10::IValue>& results,
                          bool speculative) = 0;
  virtual void onAttributeSet(torch::jit::Node* node, const c10::IValue& value, bool speculative) = 0;
  // The side that an If takes (1: its first block), or the iterations that a loop is given.
  virtual void onDecision(torch::jit::Node* node, int64_t value, bool speculative) = 0;
  // Brackets a branch that was not taken; `failed` when it could not run, and nothing of it counts.
  virtual void onSpeculationBegin() = 0;
  // `outputs` are what that branch gives; none where it failed.
  virtual void onSpeculationEnd(bool failed, const std::vector<c10::IValue>& outputs) = 0;
  // What the side that an If took gives.
  virtual void onJoin(const std::vector<c10::IValue>& outputs) = 0;
};

// Makes a graph do what it would not do by itself.
class InterpreterGuide {
 public:
  virtual ~InterpreterGuide() = default;
  // Before an operator runs. May change its arguments; an operation it gives runs in place of the operator's.
  virtual torch::jit::Operation* beforeOperator(torch::jit::Node* node, torch::jit::Operation& operation,
                                                std::vector<c10::IValue>& arguments) = 0;
  // The side that an If takes, or the iterations of a loop, where the graph itself says `value`.
  virtual int64_t decide(torch::jit::Node* node, int64_t value) = 0;
  // Whether to run the side that this If does not take. Asked only under InterpreterOptions::speculate.
  virtual bool speculatesAt(torch::jit::Node* node) = 0;
};

struct InterpreterOptions {
  // Run branches that were not taken too, on copies of what they would write, and discard their results.
  bool speculate = false;
  InterpreterGuide* guide = nullptr;
};

// Runs an inlined graph node by node. Values are released after their last use.
class Interpreter {
 public:
  Interpreter(const InlinedGraph& graph, const InterpreterOptions& options, InterpreterObserver* observer,
              CancelToken cancel);

  // `inputs` are those of the graph, `self` first.
  c10::IValue run(std::vector<c10::IValue> inputs);

  // The node that ran last, or that failed; null before there is one.
  const torch::jit::Node* current() const { return current_; }

 private:
  using Values = std::vector<c10::IValue>;

  void runBlock(torch::jit::Block* block);
  void runNode(torch::jit::Node* node);
  void runIf(torch::jit::Node* node);
  void runLoop(torch::jit::Node* node);
  void runOperator(torch::jit::Node* node);
  int64_t decide(torch::jit::Node* node, int64_t value);
  void speculate(torch::jit::Block* block);
  void releaseOutputs(torch::jit::Block* block);
  c10::IValue& value(const torch::jit::Value* value) { return values_[graph_.valueIndexOf(value)]; }
  Values inputsOf(torch::jit::Node* node);
  // Tensors are written as copies. Lists and dictionaries are written themselves, so that what is read of
  // them later is there, and restored when the speculation ends.
  void guardWrites(const c10::FunctionSchema& schema, Values& arguments);
  void restoreContainers(size_t count);

  const InlinedGraph& graph_;
  InterpreterOptions options_;
  InterpreterObserver* observer_;
  CancelToken cancel_;
  Values values_;
  std::unordered_map<const torch::jit::Node*, torch::jit::Operation> operations_;
  int speculationDepth_ = 0;
  size_t speculationBegin_ = 0;                               // in written_, of the innermost one
  std::vector<std::pair<c10::IValue, c10::IValue>> written_;  // containers, and what they held before
  const torch::jit::Node* current_ = nullptr;
};

}  // namespace torchsearch
