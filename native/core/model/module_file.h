#pragma once

#include <string>

#include "core/model/module.h"

namespace torchsearch {

struct ModuleFile {
  torch::jit::Module module;
  ExtraFiles extraFiles;
};

// Reads a TorchScript file once ModelArchive has checked it.
ModuleFile readModuleFile(const std::string& path, const LoadOptions& options);

// Writes a module as a TorchScript file, atomically.
void writeModuleFile(const torch::jit::Module& module, const ExtraFiles& extraFiles, const std::string& path);

}  // namespace torchsearch
