#pragma once

#include <optional>
#include <string>

#include "core/call/inputs.h"
#include "core/model/module.h"

namespace torchsearch {

struct ModuleFile {
  torch::jit::Module module;
  ExtraFiles extraFiles;
  std::optional<Inputs> example;  // an exported program's sample inputs, where they can be read
};

// Reads a TorchScript file once ModelArchive has checked it, or an exported program, which holds no code.
ModuleFile readModuleFile(const std::string& path, const LoadOptions& options);

// The inputs with which an exported program was made (core/exported/sample_inputs.h); nothing for other
// files.
std::optional<Inputs> readSampleInputs(const std::string& path, const LoadOptions& options);

// Writes a module as a TorchScript file, atomically.
void writeModuleFile(const torch::jit::Module& module, const ExtraFiles& extraFiles, const std::string& path);

}  // namespace torchsearch
