#pragma once

#include <c10/core/Device.h>

#include <string>

namespace torchsearch {

// "cpu", "cuda", "cuda:1", ... ERR_DEVICE when the name is unknown or this LibTorch has no such device.
c10::Device parseDevice(const std::string& name);

}  // namespace torchsearch
