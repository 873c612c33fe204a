#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace torchsearch {

// What a file's source code defines.
struct SourceContents {
  std::vector<std::string> classes;  // qualified names
  bool setsState = false;            // a class has `__setstate__`, which runs while the file is loaded
  size_t functions = 0;              // with the methods
};

// Parses one source of a TorchScript archive and refuses what would run, or overflow the stack, while
// LibTorch compiles it: default values of parameters and class constants that are anything but literals
// (LibTorch evaluates them then and there), and expressions, blocks, chains or types that nest too deeply for
// a compiler that calls itself.
//
// `qualifier` is the source's module, such as "__torch__.torchvision.models"; `name` its record, for
// messages. ERR_NOT_TORCHSCRIPT, ERR_UNSAFE_OPERATOR
SourceContents checkSource(const std::string& text, const std::string& qualifier, const std::string& name);

}  // namespace torchsearch
