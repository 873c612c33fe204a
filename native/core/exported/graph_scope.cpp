#include "core/exported/graph_scope.h"

#include <algorithm>

#include "core/call/input_contract.h"
#include "core/exported/write/program_origin.h"

namespace torchsearch::exported {

torch::jit::Value* Names::get(const std::string& name) const {
  const auto found = values_.find(name);
  if (found == values_.end()) refuseProgram("\"" + name + "\" is used before it is computed");
  return found->second;
}

void Names::setArgument(const Json& argument, torch::jit::Value* value) {
  const auto [kind, member] = memberOf(argument);
  if (const Json* name = findField(member, "name")) set(textOf(*name), value);
  if (const Json* name = findField(member, "as_name")) set(textOf(*name), value);
}

bool GraphContext::isTruth(const Json& outputs) const {
  if (outputs.size() != 1 || memberOf(outputs[0]).first != "as_tensor") return false;
  return truths.count(textOf(field(memberOf(outputs[0]).second, "name"))) > 0;
}

std::vector<std::string> partsOf(const std::string& name) {
  std::vector<std::string> parts;
  for (size_t from = 0; from <= name.size();) {
    const size_t dot = std::min(name.find('.', from), name.size());
    parts.push_back(name.substr(from, dot - from));
    from = dot + 1;
  }
  constexpr size_t kMaxParts = 64;
  const bool sound =
      parts.size() <= kMaxParts && std::all_of(parts.begin(), parts.end(), [](const std::string& part) {
        return !part.empty() && part != "training" && part != "forward" && part != kInputContract &&
               part != kProgramOrigin && part != kSizeGuards &&
               std::all_of(part.begin(), part.end(),
                           [](char c) { return c > ' ' && c < 0x7F && c != '"' && c != '\'' && c != '\\'; });
      });
  if (!sound) refuseProgram("\"" + name + "\" is no name of a tensor");
  return parts;
}

}  // namespace torchsearch::exported
