#pragma once

#include <torch/script.h>

#include <functional>
#include <string>
#include <vector>

#include "core/call/inputs.h"
#include "core/model/module.h"

namespace torchsearch {

// Copies of the tensors that `run` gives. What it changes of the module is put back, and so are the random
// numbers that it draws: two calls in a row draw the same.
std::vector<at::Tensor> outputsWithoutTrace(const torch::jit::Module& module,
                                            const std::function<c10::IValue()>& run);

// The same for a module's forward in evaluation mode.
std::vector<at::Tensor> outputsWithoutTrace(Module& module, const Inputs& inputs);

// ERR_EXPORT_MISMATCH with this complaint, where an exported module's outputs differ from those expected by
// more than rounding.
void requireSameOutputs(const std::vector<at::Tensor>& actual, const std::vector<at::Tensor>& expected,
                        const std::string& complaint);

}  // namespace torchsearch
