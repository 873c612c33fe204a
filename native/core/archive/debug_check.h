#pragma once

#include <string>

#include "core/archive/pickled_value.h"

namespace torchsearch {

// Checks what a record of debug information ("….debug_pkl") holds: ranges of sources, which LibTorch reads
// when it words an error or saves the module, without comparing them with the texts that they point into.
//
// `name` is the record's, for messages. ERR_NOT_TORCHSCRIPT
void checkDebugPickle(const PickledTree& tree, const std::string& name);

}  // namespace torchsearch
