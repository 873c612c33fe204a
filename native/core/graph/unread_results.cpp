#include "core/graph/unread_results.h"

#include "core/graph/operator_traits.h"
#include "core/graph/storage_classes.h"

namespace torchsearch {

std::vector<bool> unreadInstructions(const Program& program) {
  std::vector<bool> read(program.slots.size(), false);
  const auto mark = [&](const ValueTree& tree) {
    forEachSlot(tree, [&](SlotId slot) { read[slot] = true; });
  };
  mark(program.output);
  for (const auto& decision : program.decisions) {
    for (const auto& tree : decision.taken) mark(tree);
    for (const auto& tree : decision.other) mark(tree);
  }
  std::vector<bool> unread(program.instructions.size(), false);
  for (size_t i = program.instructions.size(); i-- > 0;) {
    const auto& instruction = program.instructions[i];
    bool isRead = !writtenSlots(instruction, Statistics::kWritten).empty();
    for (const auto& result : instruction.results) {
      forEachSlot(result, [&](SlotId slot) { isRead = isRead || read[slot]; });
    }
    unread[i] = !isRead;
    if (!isRead) continue;
    for (size_t a = 0; a < instruction.arguments.size(); ++a) {
      if (askedOf(*instruction.schema, a) == Asked::kNumbers) mark(instruction.arguments[a]);
    }
  }
  return unread;
}

}  // namespace torchsearch
