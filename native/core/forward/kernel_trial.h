#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "core/forward/fused_chain.h"
#include "core/forward/prepared_program.h"
#include "core/hash/digest.h"

namespace torchsearch {

// What is known of a kernel that isn't LibTorch's plain operator, at one geometry: all that a kernel may be
// chosen or compiled by, such as the sizes of kernel, input and channels, and the number of threads.
enum class Verdict : uint8_t { kUntried, kSound, kUnsound };

// Kept for the whole process. Any thread.
Verdict verdictOn(const Digest& geometry);

// Whether oneDNN's convolutions in channels-last order may run at this geometry at all. oneDNN 3.12, which
// PyTorch 2.13 brings, reads beyond its operands on AVX-512 where output and kernel are one column wide and
// the kernel is tall: the result is wrong, or the process ends (docs/forward-loop.md). Comparing results is
// too late then, so such geometries, and all that are far from what networks use, never run. `weight` and
// `output`: sizes of the filter, and of what it gives.
bool mayRunChannelsLast(const FusedChain& chain, const std::vector<int64_t>& weight,
                        const std::vector<int64_t>& output);

// A step that runs both ways until the verdict is known, and `fast` only where it gives what `plain` gives.
// `result`: the slot that both steps fill, by values of their own.
std::unique_ptr<PreparedStep> triedStep(const Digest& geometry, SlotId result,
                                        std::unique_ptr<PreparedStep> fast,
                                        std::unique_ptr<PreparedStep> plain);

}  // namespace torchsearch
