#pragma once

#include <torch/script.h>

#include <cstddef>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "core/base/cancel.h"
#include "core/call/inputs.h"

namespace torchsearch {

// A module as an exported program.
struct WrittenProgram {
  // Records of the archive, in order.
  std::vector<std::pair<std::string, std::string>> texts;
  std::vector<std::pair<std::string, at::Tensor>> tensors;
  // Arguments of `forward` at which the program has to give what the module gives: the example's sizes, and
  // others within its ranges.
  std::vector<std::vector<c10::IValue>> trials;
};

// Records the module on the example, in its mode, and describes what it did as an exported program. Sizes
// that an exported program had as dynamic, or else the batch, stay dynamic. ERR_EXPORTED_WRITE for what such
// a program can't have
WrittenProgram writeProgram(const torch::jit::Module& module, const Inputs& example,
                            const std::map<std::string, std::string>& extraFiles, const CancelToken& cancel);

// Hands the bytes of the archive to `write`.
void writeArchive(const WrittenProgram& program, const std::function<size_t(const void*, size_t)>& write);

}  // namespace torchsearch
