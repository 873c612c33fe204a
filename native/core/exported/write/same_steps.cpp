#include "core/exported/write/same_steps.h"

#include <algorithm>
#include <vector>

namespace torchsearch::exported {
namespace {

bool sameTree(const ValueTree& a, const ValueTree& b) {
  return a.kind == b.kind && a.slot == b.slot &&
         std::equal(a.children.begin(), a.children.end(), b.children.begin(), b.children.end(), sameTree);
}

bool sameTrees(const std::vector<ValueTree>& a, const std::vector<ValueTree>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), sameTree);
}

}  // namespace

bool sameSteps(const Program& a, const Program& b) {
  const auto sameInstruction = [](const Instruction& one, const Instruction& other) {
    return one.node == other.node && one.schema == other.schema &&
           sameTrees(one.arguments, other.arguments) && sameTrees(one.results, other.results);
  };
  const auto sameAssignment = [](const Assignment& one, const Assignment& other) {
    return one.node == other.node && sameTree(one.value, other.value);
  };
  const auto sameRank = [](const Slot& one, const Slot& other) {
    return one.sizes.size() == other.sizes.size() && one.dtype == other.dtype;
  };
  return std::equal(a.instructions.begin(), a.instructions.end(), b.instructions.begin(),
                    b.instructions.end(), sameInstruction) &&
         std::equal(a.slots.begin(), a.slots.end(), b.slots.begin(), b.slots.end(), sameRank) &&
         std::equal(a.assignments.begin(), a.assignments.end(), b.assignments.begin(), b.assignments.end(),
                    sameAssignment) &&
         sameTree(a.output, b.output);
}

}  // namespace torchsearch::exported
