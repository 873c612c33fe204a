#include "core/graph/scope_path.h"

#include <algorithm>
#include <vector>

#include "core/graph/module_paths.h"

namespace torchsearch {

namespace {

// The shortest beginning of a parameter's path, without its own name, that holds `count` parts of the scope
// in their order; empty where there is none.
std::string beginningWith(const std::vector<std::string>& scope, size_t count,
                          const std::vector<std::string>& parameter) {
  std::string path;
  size_t met = 0;
  for (size_t i = 0; i + 1 < parameter.size(); ++i) {
    path += (i == 0 ? "" : ".") + parameter[i];
    if (parameter[i] == scope[met] && ++met == count) return path;
  }
  return "";
}

}  // namespace

std::string scopePath(const Program& program, int32_t instruction) {
  const std::string& given = program.instructions[instruction].scope;
  const auto scope = pathParts(given);
  const bool isWhole =
      scope.empty() || std::any_of(program.slots.begin(), program.slots.end(), [&](const Slot& slot) {
        return slot.isStored() && slot.name.compare(0, given.size() + 1, given + ".") == 0;
      });
  if (isWhole) return given;
  const auto count = static_cast<int32_t>(program.instructions.size());
  const auto lookAt = [&](int32_t index) -> std::string {
    std::string found;
    if (index < 0 || index >= count) return found;
    for (const auto& argument : program.instructions[index].arguments) {
      forEachSlot(argument, [&](SlotId slot) {
        if (!found.empty() || !program.slots[slot].isStored()) return;
        const auto parameter = pathParts(program.slots[slot].name);
        found = beginningWith(scope, scope.size(), parameter);
        // Its own last module may hold no parameter.
        if (!found.empty() || scope.size() == 1) return;
        found = beginningWith(scope, scope.size() - 1, parameter);
        if (!found.empty()) found += "." + scope.back();
      });
    }
    return found;
  };
  for (int32_t distance = 0; distance < count; ++distance) {
    for (const int32_t index : {instruction - distance, instruction + distance}) {
      const std::string found = lookAt(index);
      if (!found.empty()) return found;
    }
  }
  return given;
}

}  // namespace torchsearch
