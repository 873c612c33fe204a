#pragma once

#include <torch/script.h>

#include <map>
#include <string>

#include "core/exported/json.h"

namespace torchsearch::exported {

// The modules that a node lies in, as a program's metadata names them: "key,path,class;…".
class ModuleStacks {
 public:
  // Classes are those of the exported program that the model comes from, else TorchScript's.
  ModuleStacks(const torch::jit::Module& module, const Json& origin);

  // Of a node within the module at a dotted path.
  std::string at(const std::string& path) const;
  // Dotted paths of all modules but the root.
  const std::map<std::string, std::string>& classes() const { return classes_; }

 private:
  std::map<std::string, std::string> classes_;
  std::string root_;
};

}  // namespace torchsearch::exported
