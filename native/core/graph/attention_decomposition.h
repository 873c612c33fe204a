#pragma once

#include <torch/csrc/jit/ir/ir.h>

namespace torchsearch {

// Replaces the fused attention kernels that a trace in evaluation mode holds (`_native_multi_head_attention`,
// `_transformer_encoder_layer_fwd`) by the operators that they stand for. The kernels insist on
// 3 * embed_dim rows of projection weights, so they accept no subnet of the heads, and have no gradient.
// Left as they are: cross attention, masks, and sizes that are not constants.
void decomposeFusedAttention(torch::jit::Graph& graph);

}  // namespace torchsearch
