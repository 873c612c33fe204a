#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "core/graph/program.h"

namespace torchsearch {

// Channels are atoms: one index of one dimension of one parameter. Operators tie atoms together; tied ones
// are a class, kept or dropped as a whole. Classes that may change places with each other form a group.
using Atom = int32_t;

// The atom of each index of a dimension; empty for a dimension that no parameter's channels run along, and
// which therefore stays whole.
using Labels = std::vector<Atom>;

inline constexpr Atom kFixedAtom = 0;
inline constexpr int32_t kNoGroup = -1;

struct ClassPlace {
  int32_t group = kNoGroup;  // kNoGroup: stays whole
  int32_t position = 0;      // within the group; a subnet keeps positions 0 … width - 1
};

class Dependencies {
 public:
  // Follows the channels through every instruction of the program, speculative ones too.
  explicit Dependencies(std::shared_ptr<const Program> program);

  // The same analysis of the same model recorded at another input shape, with the groups of `reference`.
  // ERR_INPUT_SHAPE where that shape ties channels that are independent in `reference`.
  Dependencies(std::shared_ptr<const Program> program, const Dependencies& reference);

  // Groups that such an analysis of the same program would tie otherwise; none where both agree.
  static std::set<int32_t> disagreeing(std::shared_ptr<const Program> program, const Dependencies& reference);

  // The same without some groups, which stay whole for these reasons.
  Dependencies without(const std::map<int32_t, std::string>& reasons) const;

  const Program& program() const { return *program_; }
  size_t groupCount() const { return groupSizes_.size(); }
  int64_t groupSize(int32_t group) const { return groupSizes_[group]; }
  // Whether the group's classes are attention heads.
  bool isHeads(int32_t group) const { return isHeads_[group]; }
  // How many channels a class of it is, where an operator groups them.
  int64_t channelsPerClass(int32_t group) const { return channelsPerClass_[group]; }

  const Labels& labels(SlotId slot, int64_t dimension) const { return labels_[slot][dimension]; }
  ClassPlace placeOf(Atom atom) const;

  // Indices of a dimension that a subnet with these widths (by group) keeps; all of them for a whole
  // dimension.
  std::vector<int64_t> kept(SlotId slot, int64_t dimension, const std::vector<int64_t>& widths) const;
  int64_t keptCount(SlotId slot, int64_t dimension, const std::vector<int64_t>& widths) const;

  // Decisions (in Program::decisions, ascending) whose other side a subnet can't run: it would keep whole
  // what the executed side lets be narrowed.
  const std::vector<int32_t>& givenUp() const { return givenUp_; }

  // Why an atom's class stays whole; empty when it does not.
  const std::string& reasonOf(Atom atom) const;

 private:
  friend class DependencyAnalysis;
  friend class ReferenceFactors;
  Dependencies() = default;
  void placeByReference(const Dependencies& reference, std::set<int32_t>& conflicts);

  std::shared_ptr<const Program> program_;
  std::vector<std::vector<Labels>> labels_;  // by slot, by dimension
  std::vector<Atom> root_;                   // by atom
  std::vector<std::string> reason_;          // by root
  std::vector<ClassPlace> place_;            // by root
  std::vector<int64_t> groupSizes_;
  std::vector<int32_t> givenUp_;
  std::vector<bool> isHeads_;              // by group
  std::vector<int64_t> channelsPerClass_;  // by group
  Atom storedAtoms_ = 0;                   // those of parameters and buffers come first
  // Of reshapes that had a choice: the factor that keeps the channels, by node and dimension.
  std::map<std::pair<const torch::jit::Node*, int32_t>, size_t> factors_;
};

}  // namespace torchsearch
