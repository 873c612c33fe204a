#pragma once

#include <ATen/core/Tensor.h>

namespace torchsearch::testing {

// Operators of the simulated device: LibTorch's for the CPU, on the device's memory, after what the stream
// has yet to do. While a graph is captured, what they compute is void; replaying runs them.

// Copies between the device and the CPU, or within the device, in any layout and dtype.
void copyOnHost(const at::Tensor& source, const at::Tensor& target);

// Whether this thread is capturing a graph. As on CUDA, nothing may wait for the device then.
bool captures();
// Lets captures from here on fail at their end, as a backend may.
void refuseCapture(bool refuse);
// Replays of all graphs.
int replays();

// Makes the device's graphs known, where this PyTorch has an interface for it.
void registerGraphs();

}  // namespace torchsearch::testing
