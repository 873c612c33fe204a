#pragma once

#include <torch/script.h>

#include <string>

#include "core/base/cancel.h"
#include "core/call/inputs.h"
#include "core/model/extra_files.h"

namespace torchsearch {

// Writes a module as an exported program, recorded on the example (core/exported/write/program_writer.h),
// atomically: what was written is read again and gives what the module gives, at the example's sizes and at
// others, before it gets its name. ERR_EXPORTED_WRITE, ERR_INPUT, ERR_FORWARD, ERR_FILE_WRITE
void writeExportedFile(const torch::jit::Module& module, const ExtraFiles& extraFiles, const Inputs& example,
                       const std::string& path, const CancelToken& cancel);

}  // namespace torchsearch
