#pragma once

#include <string>
#include <unordered_map>
#include <vector>

#include "core/graph/dependency.h"

namespace torchsearch {

// What the rules of single operators work on: labels of every slot, and ties between atoms.
class DependencyAnalysis {
 public:
  explicit DependencyAnalysis(const Program& program);

  void run();
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

  // Channels at different places of a concatenation or split are not interchangeable.
  void separate(const std::vector<Labels>& pieces);

 private:
  Atom find(Atom atom) const;
  void group(Dependencies& dependencies);

  const Program& program_;
  std::vector<std::vector<Labels>> labels_;
  mutable std::vector<Atom> parent_;
  std::vector<std::string> reason_;
  std::vector<std::vector<Labels>> separations_;
};

// Ties what `instruction` ties and labels its results.
void applyDependencyRule(DependencyAnalysis& analysis, const Instruction& instruction);

}  // namespace torchsearch
