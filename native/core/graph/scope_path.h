#pragma once

#include <cstdint>
#include <string>

#include "core/graph/program.h"

namespace torchsearch {

// The path of the module that an instruction runs in. A graph doesn't tell the list that a module was taken
// from: it says "0.attention" for "layer.0.attention". The parameters that are read nearby do.
std::string scopePath(const Program& program, int32_t instruction);

}  // namespace torchsearch
