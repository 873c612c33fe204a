#pragma once

#include <torch/script.h>

#include <string>
#include <vector>

namespace torchsearch {

// TorchScript files are programs, and a few operators reach outside of it: they read or write files.

// Names of such operators in any function or method the module's file brought along.
std::vector<std::string> unsafeOperators(const torch::jit::Module& module);

// Loading runs the `__setstate__` methods of a file before its graphs can be looked at. True when one of the
// file's sources (the text under code/) defines such a method and names an unsafe operator anywhere. Errs on
// the side of true.
bool mayRunUnsafeOperatorsOnLoad(const std::vector<std::string>& sources);

}  // namespace torchsearch
