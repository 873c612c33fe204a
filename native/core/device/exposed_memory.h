#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

namespace torchsearch {

// Memory that code outside may write without LibTorch's version counters telling: a parameter's, once
// JavaScript was given an array over it.
void exposeMemory(const at::Tensor& tensor);

// A digest of the elements when the tensor's memory is exposed, else 0. Any thread.
uint64_t exposedDigest(const at::Tensor& tensor);

}  // namespace torchsearch
