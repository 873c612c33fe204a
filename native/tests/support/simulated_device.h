#pragma once

#include <ATen/core/Tensor.h>
#include <c10/core/Stream.h>

#include <cstddef>
#include <functional>

namespace torchsearch::testing {

// An accelerator made of the CPU's memory and threads (LibTorch's PrivateUse1), so that what is written for
// CUDA runs, and shows its mistakes, where there is none. As on CUDA, work is put on streams and runs later,
// in order within a stream, and events order streams. Freed memory is overwritten at the moment from which an
// allocator of CUDA's kind might give it out again: in the order of its own stream, after all streams named
// to record_stream(); page-locked memory after the copies from it.
c10::Device simulatedDevice();

// What `work` does is done on the current stream, in its time. It may read the device's memory.
void launch(std::function<void()> work);

// Times that pinned memory was made, and device tensors were told of another stream.
int pinnedAllocations();
int streamsRecorded();

c10::StreamId currentStreamId();
void finishCurrentStream();

// How much the device holds; SIZE_MAX, the default, is no limit.
void setCapacity(size_t bytes);

// Lets the next pinned allocations fail.
void refusePinning(bool refuse);

}  // namespace torchsearch::testing
