#pragma once

#include <optional>
#include <string>

#include "core/call/inputs.h"
#include "core/exported/exported_archive.h"

namespace torchsearch {

// The inputs with which a program was exported, as its file keeps them; nothing where it keeps none, or
// others than tensors, numbers and texts in tuples, lists and dictionaries. They are a pickle, which is
// checked before LibTorch reads it. ERR_EXPORTED_PROGRAM, ERR_MODEL_NAME
std::optional<Inputs> readSampleInputs(const ExportedArchive& archive,
                                       const std::optional<std::string>& model);

}  // namespace torchsearch
