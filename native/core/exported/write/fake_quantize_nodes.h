#pragma once

#include "core/exported/write/argument_writer.h"
#include "core/exported/write/node_sink.h"
#include "core/graph/program.h"

namespace torchsearch::exported {

// Whether an instruction is PyTorch's fake quantization to integers. Python runs its operators, but can't
// decompose them in a program that it has loaded, so neither ONNX nor AOTInductor takes them.
bool isFakeQuantize(const Instruction& step);

// Writes it as arithmetic, which gives the same numbers, and passes the gradient of what is not cut off.
// `meta` is that of the result, which `x` has too. Gives the name of the result.
std::string addFakeQuantize(const Instruction& step, const Program& program, const SlotNames& names,
                            const Json& meta, NodeSink& sink);

}  // namespace torchsearch::exported
