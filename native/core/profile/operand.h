#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/graph/program.h"
#include "core/profile/operator_cost.h"

namespace torchsearch {

// A tensor of an instruction, whose dimensions a cost rule refers to. Negative dimensions count from the end.
class Operand {
 public:
  Operand(SlotId slot, const std::vector<int64_t>& sizes) : slot_(slot), sizes_(&sizes) {}

  int64_t rank() const { return static_cast<int64_t>(sizes_->size()); }
  int64_t size(int64_t dimension) const { return sizes_->at(wrap(dimension)); }
  DimensionReference at(int64_t dimension) const { return {slot_, static_cast<int32_t>(wrap(dimension))}; }
  // From `begin` up to but without `end`; an `end` of 0 after a negative `begin` is the rank.
  std::vector<DimensionReference> dimensions(int64_t begin, int64_t end) const;

 private:
  int64_t wrap(int64_t dimension) const { return dimension < 0 ? dimension + rank() : dimension; }

  SlotId slot_;
  const std::vector<int64_t>* sizes_;
};

// An instruction's arguments by their names in the operator's schema.
class Operands {
 public:
  Operands(const Program& program, const Instruction& instruction)
      : program_(program), instruction_(instruction) {}

  bool has(const char* name) const { return instruction_.schema->argumentIndexWithName(name).has_value(); }
  Operand tensor(const char* name) const { return operand(argument(name)); }
  std::vector<Operand> tensors(const char* name) const;
  Operand result() const { return operand(instruction_.results.at(0)); }
  int64_t integer(const char* name) const { return argument(name).constant.toInt(); }
  bool flag(const char* name) const { return argument(name).constant.toBool(); }
  std::string text(const char* name) const { return argument(name).constant.toStringRef(); }
  // Empty where the argument is absent or None.
  std::vector<int64_t> integers(const char* name) const;

 private:
  const ValueTree& argument(const char* name) const;
  Operand operand(const ValueTree& tree) const;

  const Program& program_;
  const Instruction& instruction_;
};

}  // namespace torchsearch
