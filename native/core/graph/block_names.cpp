#include "core/graph/block_names.h"

#include <algorithm>
#include <cstdint>
#include <map>
#include <string>

#include "core/graph/module_paths.h"

namespace torchsearch {

namespace {

using Path = std::vector<std::string>;

std::string join(const Path& path) {
  std::string dotted;
  for (const auto& part : path) dotted += dotted.empty() ? part : "." + part;
  return dotted;
}

struct Parameter {
  Path path;
  int64_t elements = 1;
};

// Of a block: the parameters that go with it.
std::vector<Parameter> parametersOf(const Program& program, const Liveness& liveness, int32_t block) {
  std::vector<Parameter> parameters;
  for (size_t slot = 0; slot < program.slots.size(); ++slot) {
    if (program.slots[slot].kind != Slot::Kind::kParameter || !liveness.stored[slot].needs(block)) continue;
    Parameter parameter{pathParts(program.slots[slot].name)};
    for (const int64_t size : program.slots[slot].sizes) parameter.elements *= size;
    parameters.push_back(std::move(parameter));
  }
  return parameters;
}

// The path of the innermost module that holds all the parameters.
Path commonModule(const std::vector<Parameter>& parameters) {
  if (parameters.empty()) return {};
  Path common(parameters[0].path.begin(), parameters[0].path.end() - 1);
  for (const auto& parameter : parameters) {
    const size_t limit = std::min(common.size(), parameter.path.size() - 1);
    size_t equal = 0;
    while (equal < limit && common[equal] == parameter.path[equal]) ++equal;
    common.resize(equal);
  }
  return common;
}

// The graph does not tell the list that a module was taken from: "0" for "blocks.0". The parameters do.
Path resolved(const Path& scope, const Path& common) {
  size_t end = 0;
  for (const auto& part : scope) {
    while (end < common.size() && common[end] != part) ++end;
    if (end == common.size()) return common.empty() ? scope : common;
    ++end;
  }
  return {common.begin(), common.begin() + static_cast<int64_t>(end)};
}

// The module, or parameter, right under `scope` that holds most of the elements.
std::string largestChild(const std::vector<Parameter>& parameters, const Path& scope) {
  std::map<std::string, int64_t> elements;
  for (const auto& parameter : parameters) {
    if (parameter.path.size() > scope.size()) elements[parameter.path[scope.size()]] += parameter.elements;
  }
  const auto largest = std::max_element(elements.begin(), elements.end(),
                                        [](const auto& a, const auto& b) { return a.second < b.second; });
  return largest == elements.end() ? std::string() : largest->first;
}

}  // namespace

void nameBlocks(const Program& program, std::vector<ResidualBlock>& blocks, const Liveness& liveness) {
  std::vector<std::vector<Parameter>> parameters;
  std::vector<Path> scopes;
  std::map<Path, int> additions;
  for (size_t b = 0; b < blocks.size(); ++b) {
    parameters.push_back(parametersOf(program, liveness, static_cast<int32_t>(b)));
    const auto& addition = program.instructions[blocks[b].addition.instruction];
    scopes.push_back(resolved(pathParts(addition.scope), commonModule(parameters[b])));
    ++additions[scopes[b]];
  }
  std::map<std::string, int> taken;
  for (size_t b = 0; b < blocks.size(); ++b) {
    Path path = scopes[b];
    if (path.empty()) path = commonModule(parameters[b]);
    if (path.empty() || (additions[scopes[b]] > 1 && path == scopes[b])) {
      const std::string child = largestChild(parameters[b], path);
      if (!child.empty()) path.push_back(child);
    }
    const std::string name = path.empty() ? "block" : join(path);
    const int count = ++taken[name];
    blocks[b].name = count == 1 ? name : name + "#" + std::to_string(count);
  }
}

}  // namespace torchsearch
