#pragma once

#include <string>

#include "core/module.h"

namespace torchsearch {

// Reads a TorchScript file after checking that it is one and, unless allowed, that it touches no files.
torch::jit::Module readModuleFile(const std::string& path, const LoadOptions& options);

// Writes a module as a TorchScript file, atomically.
void writeModuleFile(const torch::jit::Module& module, const std::string& path);

}  // namespace torchsearch
