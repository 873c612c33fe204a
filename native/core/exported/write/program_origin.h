#pragma once

#include <torch/script.h>

#include <string>
#include <vector>

#include "core/exported/json.h"

namespace torchsearch::exported {

// What an exported program says that a TorchScript module has no place for, so that it can be written again:
// the names and ranges of its symbols, how its inputs and outputs are nested, the classes of its modules,
// and which tensors are constants or not saved. A text in this attribute of the module, which copies and
// saved files keep; what the module has lost meanwhile counts for nothing.
inline constexpr const char* kProgramOrigin = "_exported_program";

// Of a program that is read. `symbols` are those of its input contract (core/call/input_contract.h), by their
// number.
std::string originOf(const Json& program, const std::vector<std::string>& symbols);

// Null where the module comes from no exported program, or its attribute is damaged.
Json findOrigin(const torch::jit::Module& module);

}  // namespace torchsearch::exported
