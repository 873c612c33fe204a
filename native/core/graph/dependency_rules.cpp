#include <sstream>
#include <string>
#include <unordered_map>

#include "core/graph/rules/rule_family.h"

namespace torchsearch {

namespace {

using Table = std::unordered_map<std::string, const RuleFamily*>;

Table tableOf(const std::vector<RuleFamily>& families) {
  Table table;
  for (const auto& family : families) {
    std::istringstream names(family.names);
    for (std::string name; names >> name;) {
      TORCH_CHECK(table.emplace("aten::" + name, &family).second, "two rules for ", name);
      if (family.hasInPlace) table.emplace("aten::" + name + "_", &family);
    }
  }
  return table;
}

}  // namespace

void applyDependencyRule(DependencyAnalysis& analysis, const Instruction& instruction) {
  static const Table table = tableOf(ruleFamilies());
  const Rule rule(analysis, instruction);
  const auto found = table.find(instruction.schema->name());
  if (found == table.end()) return keepWhole(rule);
  // An overload of another kind: `where` with a condition only, `add` of two lists.
  const bool isList = !instruction.results.empty() && !instruction.results[0].isSlot();
  if (isList != found->second->givesList) return keepWhole(rule);
  try {
    found->second->rule(rule);
  } catch (const std::exception&) {
    // An overload that the rule doesn't know. Whole is right for every operator, whatever was tied so far.
    keepWhole(rule);
  }
}

}  // namespace torchsearch
