#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "core/graph/program.h"

namespace torchsearch {

// When something is needed, told by the residual blocks that are kept: when, in any of some sets, all are.
class Condition {
 public:
  static Condition never() { return {}; }
  static Condition always();
  static Condition allOf(std::vector<int32_t> blocks);  // ascending

  bool isNever() const { return sets_.empty(); }
  bool isAlways() const { return sets_.size() == 1 && sets_.front().empty(); }
  const std::vector<std::vector<int32_t>>& sets() const { return sets_; }

  // `kept` by block.
  bool holds(const std::vector<bool>& kept) const;
  // Whether it fails when this block, and no other, is left out.
  bool needs(int32_t block) const;

  void either(const Condition& other);
  Condition and_(int32_t block) const;

  bool operator==(const Condition& other) const { return sets_ == other.sets_; }
  bool operator<(const Condition& other) const { return sets_ < other.sets_; }

 private:
  void add(std::vector<int32_t> set);

  std::vector<std::vector<int32_t>> sets_;  // sorted, and none holds another
};

// sum = kept + branch: without its block, the sum is the kept operand.
struct ResidualAddition {
  int32_t instruction = -1;
  SlotId sum = kNoSlot;
  SlotId kept = kNoSlot;
  SlotId branch = kNoSlot;
};

struct Liveness {
  // When each instruction runs. One whose result nothing ever uses, not even for a number that is read off
  // it, runs in the full program only.
  std::vector<Condition> instructions;
  // By slot: when a parameter or buffer is part of the model. One that no instruction reads goes with its
  // module's others. `always` for all other slots.
  std::vector<Condition> stored;
  std::vector<Condition> questions;  // by question: when what it is asked for is wanted
  std::vector<Condition> sums;  // by block: when what its addition gives, or what stands for it, is needed
  std::vector<int32_t> unread;  // instructions whose results nothing uses, ascending
};

// What can't be taken out of the graph, whichever blocks are left out.
struct Leftovers {
  std::set<int32_t> instructions;
  std::set<std::string> stored;  // names of parameters and buffers

  bool empty() const { return instructions.empty() && stored.empty(); }
};

// One pass from the end of the program to its beginning; blocks are numbered as in `additions`.
Liveness findLiveness(const Program& program, const std::vector<ResidualAddition>& additions,
                      const Leftovers& leftovers = {});

}  // namespace torchsearch
