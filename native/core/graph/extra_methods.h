#pragma once

#include <torch/csrc/jit/ir/ir.h>
#include <torch/script.h>

#include <memory>
#include <set>
#include <string>
#include <vector>

namespace torchsearch {

// A method of a module beside forward, such as one that Python marked by torch.jit.export. Its calls are
// inlined, but for those of the module's own forward, which may be rewritten.
struct ExtraMethod {
  std::string name;
  std::shared_ptr<torch::jit::Graph> graph;
  // Dotted paths of the attributes that it reads or writes itself.
  std::set<std::string> used;
  // Whether all calls are inlined and all modules known: only then does `used` tell everything.
  bool isKnown = true;
  // Forward calls it, and its name begins with an underscore: it is no more than a part of that.
  bool servesForward = false;
};

enum class MethodGraphs : uint8_t { kCopied, kInPlace };

// Those of the module itself. In place, the module must never have run.
std::vector<ExtraMethod> extraMethods(const torch::jit::Module& module, MethodGraphs graphs);

// Paths of submodules' methods, "encoder.encode", that neither forward nor another method of the module
// calls: a user may.
std::vector<std::string> uncalledMethods(const torch::jit::Module& module);

// Removes all methods but the module's own forward and `kept`, whose graphs are in place: once forward is
// inlined and rewritten, what the others compute is something else. The kept ones follow submodules' types.
void removeMethods(const torch::jit::Module& module, const std::vector<ExtraMethod>& kept);

}  // namespace torchsearch
