#pragma once

#include <torch/csrc/jit/ir/ir.h>

#include <string>

#include "core/graph/program.h"

namespace torchsearch {

// Program::dataDependence: the operator's name, then where it stands.
std::string describeDependence(const torch::jit::Node* node, const std::string& name);

// Throws ERR_DATA_DEPENDENT for a program that is: the operator, its module and source line, and what would
// do without reading values. `consequence` ends the sentence that says what is wrong.
[[noreturn]] void refuseDataDependence(const Program& program, const std::string& consequence);

}  // namespace torchsearch
