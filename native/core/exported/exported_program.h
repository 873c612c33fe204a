#pragma once

#include <torch/script.h>

#include <optional>
#include <string>

#include "core/exported/exported_archive.h"

namespace torchsearch {

// Makes a TorchScript module of a program in the archive: its tensors under their dotted names, and a
// `forward` that computes what `ep.module()` does. Dropouts, batch norms and the like follow the module's
// training mode; it begins in the mode in which the program was exported. Nothing runs while it is made.
//
// ERR_EXPORTED_PROGRAM, ERR_UNSUPPORTED_EXPORT, ERR_UNKNOWN_OPERATOR, ERR_MODEL_NAME where the archive has no
// program of this name, or several and no name was given
torch::jit::Module readExportedProgram(const ExportedArchive& archive,
                                       const std::optional<std::string>& model,
                                       const std::optional<c10::Device>& device);

// The name of the program that is meant. ERR_MODEL_NAME
std::string chosenProgram(const ExportedArchive& archive, const std::optional<std::string>& model);

}  // namespace torchsearch
