#pragma once

#include <torch/csrc/jit/ir/ir.h>
#include <torch/script.h>

#include <cstdint>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "core/graph/inlined_graph.h"

namespace torchsearch {

// A tensor of a recorded program: a model input, a parameter or buffer, a constant, or an operator's result.
using SlotId = int32_t;
inline constexpr SlotId kNoSlot = -1;

struct Slot {
  enum class Kind : uint8_t { kInput, kParameter, kBuffer, kConstant, kResult };
  Kind kind = Kind::kResult;
  std::string name;              // parameter path (its first, when shared); else a label for messages
  std::vector<int64_t> sizes;    // when recorded
  std::vector<int64_t> strides;  // likewise; empty for a tensor that has none
  at::ScalarType dtype = at::kFloat;
  at::Tensor constant;      // kConstant: its value
  int32_t producer = -1;    // kResult: index of the instruction that made it first
  int32_t lastUse = -1;     // index of the last instruction that reads it; a program output lives to the end
  SlotId viewOf = kNoSlot;  // kResult: the argument of its producer that it shares memory with; else kNoSlot
  int64_t bytes = 0;        // of its memory, when recorded; of a result, of all that its memory holds

  // Part of the module, rather than of one call of it.
  bool isStored() const { return kind == Kind::kParameter || kind == Kind::kBuffer; }
};

// How the tensors inside a value are found: a tree whose leaves are slots or values without tensors.
struct ValueTree {
  enum class Kind : uint8_t { kConstant, kSlot, kList, kTuple, kDict };
  Kind kind = Kind::kConstant;
  c10::IValue constant;             // kConstant, and the keys' list of kDict
  SlotId slot = kNoSlot;            // kSlot
  std::vector<ValueTree> children;  // kList, kTuple, kDict
  c10::TypePtr type;                // kList: element type; kTuple, kDict: the value's own type

  bool isSlot() const { return kind == Kind::kSlot; }
};

// Calls `visit` with every slot in the tree.
template <typename Visit>
void forEachSlot(const ValueTree& tree, Visit&& visit) {
  if (tree.kind == ValueTree::Kind::kSlot) visit(tree.slot);
  for (const auto& child : tree.children) forEachSlot(child, visit);
}

// One executed tensor operator.
struct Instruction {
  explicit Instruction(torch::jit::Operation run) : operation(std::move(run)) {}

  torch::jit::Node* node = nullptr;  // in Program::graph
  torch::jit::Operation operation;
  const c10::FunctionSchema* schema = nullptr;
  std::vector<ValueTree> arguments;  // in schema order
  std::vector<ValueTree> results;    // in schema order
  std::string scope;                 // dotted module path, where the graph tells it
  bool speculative = false;  // from a branch that was not taken: analysed and rewritten, never executed
  bool leftOut = false;      // belongs to a residual block that this program does without

  bool runs() const { return !speculative && !leftOut; }
};

// Where the pass could have gone another way: the side that an If took (1: its first block) or the iterations
// that a loop was given.
struct Decision {
  torch::jit::Node* node = nullptr;  // in Program::graph
  int64_t value = 0;
  // How many instructions (from `first` on) and decisions (from the next one on) the side that an If did not
  // take has added.
  int32_t first = 0;
  int32_t instructions = 0;
  int32_t decisions = 0;
  // What the sides give, by output of the If, where the other one could run too and it holds tensors.
  std::vector<ValueTree> taken = {};
  std::vector<ValueTree> other = {};
};

// Something that makes no tensor, such as a question for its size, read a result.
struct Question {
  SlotId slot = kNoSlot;
  const torch::jit::Node* node = nullptr;  // in Program::graph
  int32_t before = 0;                      // the instruction that came next
};

// An attribute of the module that the pass gave another value.
struct Assignment {
  const torch::jit::Node* node = nullptr;  // in Program::graph
  ValueTree value;
};

// What one forward pass did: the straight line of tensor operators, with control flow and scalar arithmetic
// resolved for the recorded input shapes.
struct Program {
  std::shared_ptr<InlinedGraph> graph;
  std::vector<Slot> slots;
  std::vector<Instruction> instructions;
  std::vector<Decision> decisions;  // in the order of execution; those of speculative branches too
  std::vector<Question> questions;  // in the order of execution; none of speculative branches
  std::vector<SlotId>
      inputs;  // tensors of the inputs, positional first, then keyword in schema order, depth first
  ValueTree output;
  std::vector<Assignment> assignments;  // in the order of execution, those of branches that ran
  // The tensors whose sizes an aten::size node told.
  std::unordered_map<const torch::jit::Node*, std::vector<SlotId>> sized;
  bool dataDependent = false;  // control flow or sizes depended on tensor values: valid for these inputs only
  std::string dataDependence;  // the operator that made it so
  // An attribute that is read before it is assigned something computed from the inputs: what one call
  // computes then depends on those before it. Empty when there is none.
  std::string carriedState;
};

}  // namespace torchsearch
