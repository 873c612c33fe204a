#pragma once

#include <optional>
#include <string>
#include <vector>

#include "core/graph/dependency.h"
#include "core/graph/factor_choice.h"
#include "core/graph/varying_numbers.h"

namespace torchsearch {

// What the rules of single operators work on: labels of every slot, and ties between atoms.
class DependencyAnalysis {
 public:
  DependencyAnalysis(const Program& program, FactorChoice& factors);

  enum class Branches : uint8_t { kExecuted, kAll };

  // Branches that were not taken count as far as they let the executed ones be narrowed; one that would keep
  // whole what these don't is given up, and so is one that would hand on other widths than the executed side,
  // unless other inputs may take it. What a branch returns stays whole, as the model's outputs do.
  void run(Branches branches);
  void finish(Dependencies& dependencies);

  const Program& program() const { return program_; }
  std::vector<Labels>& of(SlotId slot) { return labels_[slot]; }
  const std::vector<int64_t>& sizes(SlotId slot) const { return program_.slots[slot].sizes; }

  void tie(Atom a, Atom b);
  // Index by index; dimensions of different length, or one without labels, stay whole.
  void tie(const Labels& a, const Labels& b, const std::string& reason);
  void fix(Atom atom, const std::string& reason);
  void fix(const Labels& labels, const std::string& reason);
  void fixSlot(SlotId slot, const std::string& reason);

  // Labels of the factors, outermost first, that a reshape splits a dimension of its argument into. Only one
  // of them keeps channels; what belongs to one index of it is tied.
  std::vector<Labels> split(const Labels& labels, const std::vector<int64_t>& factors, int32_t dimension);

  // Which of several labelled factors keeps its labels in the one dimension that a reshape merges them into;
  // the others stay whole.
  std::optional<size_t> merge(const std::vector<Labels>& factors, const std::string& reason);

  // Ties what a product of two activations sums over, as queries and keys do.
  void contract(const Labels& a, const Labels& b, const std::string& reason);
  // A product with a parameter sums over these and gives one number, as the scores of a graph attention's
  // heads are; or an average is taken over them.
  void score(const Labels& labels) { factors_.score(labels); }
  void average(const Labels& labels) { factors_.average(labels); }

  // The classes of `labels` are attention heads.
  void markHeads(const Labels& labels);
  // The classes of `labels` are groups of so many channels.
  void markChannelGroups(const Labels& labels, int64_t channels);

  // A label for `size` indices that belongs to no parameter.
  Labels freshLabels(int64_t size);
  // The same for indices that hold equal values, made of a number or expanded: they follow what they meet.
  Labels fillerLabels(int64_t size);
  bool isFiller(Atom atom) const { return isFiller_[find(atom)]; }
  // Whether the class holds an index of a parameter or buffer; then its root is one.
  bool isStored(Atom atom) const { return find(atom) < storedAtoms_; }

  // Whether a number, or one of a list, that the instruction at work is given may differ at another shape of
  // inputs. By the position among its node's inputs.
  bool varies(int32_t input) const;
  bool elementVaries(int32_t input, int64_t element) const;
  // Whether nothing reads the values that the instruction at work gives.
  bool isUnread() const { return unread_[instruction_]; }

  Atom find(Atom atom) const;
  bool isFixed(Atom atom) const { return !reason_[find(atom)].empty(); }

  // Channels at different places of a concatenation or split are not interchangeable.
  void separate(const std::vector<Labels>& pieces);

 private:
  // What applying the rules of a branch has changed so far, in order.
  struct Trial {
    struct Tie {
      Atom root;
      Atom child;
      bool rootWasExecuted;
      bool rootWasFiller;
    };
    std::vector<Tie> ties;
    std::vector<Atom> fixed;  // roots that got a reason
    bool fixes = false;       // something that is executed has become whole
  };

  void apply(size_t instruction);
  // Whether the branch counts. One that other inputs may take `isNeeded`: it counts whatever it keeps whole.
  bool tryBranch(size_t decision, bool isNeeded);
  void join(const Decision& decision);
  void join(const ValueTree& taken, const ValueTree& other);
  void fixReturned(const Decision& decision);
  bool sizeVaries(const torch::jit::Node* size, std::optional<int64_t> dimension) const;
  void noteFix(Atom root);
  void group(Dependencies& dependencies);

  const Program& program_;
  FactorChoice& factors_;
  int32_t instruction_ = 0;  // the one at work
  std::vector<std::vector<Labels>> labels_;
  mutable std::vector<Atom> parent_;
  std::vector<std::string> reason_;
  std::vector<std::vector<Labels>> separations_;
  std::vector<Labels> heads_;
  std::vector<std::pair<Labels, int64_t>> channelGroups_;
  Atom storedAtoms_ = 0;          // those of parameters and buffers come first
  std::vector<bool> isExecuted_;  // by root: an executed instruction reads a parameter of the class
  bool fixesUnexecuted_ = false;
  std::vector<bool> isFiller_;  // by root: nothing but equal values
  std::vector<bool> unread_;    // by instruction
  VaryingNumbers numbers_;
  std::vector<int32_t> givenUp_;  // decisions
  std::optional<Trial> trial_;
};

// Ties what `instruction` ties and labels its results.
void applyDependencyRule(DependencyAnalysis& analysis, const Instruction& instruction);

}  // namespace torchsearch
