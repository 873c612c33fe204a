#pragma once

#include <string>

#include "core/model/module.h"

namespace torchsearch {

struct ModuleFile {
  torch::jit::Module module;
  // One whose bytes are damaged is empty: what stands beside a model never makes it unreadable.
  ExtraFiles extraFiles;
};

// Reads a TorchScript file after checking that it is one and, unless allowed, that it touches no files.
ModuleFile readModuleFile(const std::string& path, const LoadOptions& options);

// Writes a module as a TorchScript file, atomically.
void writeModuleFile(const torch::jit::Module& module, const ExtraFiles& extraFiles, const std::string& path);

}  // namespace torchsearch
