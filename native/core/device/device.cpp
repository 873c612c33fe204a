#include "core/device/device.h"

#include <torch/cuda.h>

#include "core/base/error.h"

namespace torchsearch {

c10::Device parseDevice(const std::string& name) {
  std::string_view reason = "it is not a device name";
  try {
    const c10::Device device(name);
    if (device.is_cpu()) return c10::Device(c10::kCPU);
    if (device.is_cuda()) {
      const auto count = torch::cuda::is_available() ? torch::cuda::device_count() : 0;
      const auto index = device.has_index() ? device.index() : 0;
      if (index < count) return c10::Device(c10::kCUDA, static_cast<c10::DeviceIndex>(index));
      reason = count == 0 ? "this LibTorch sees no CUDA device" : "there is no CUDA device of that index";
    } else {
      reason = "only cpu and cuda devices are supported";
    }
  } catch (const c10::Error&) {
    // Not a device string at all.
  }
  throw Error("ERR_DEVICE", "Cannot use device \"" + name + "\": " + std::string(reason) +
                                "; use \"cpu\", \"cuda\" or \"cuda:N\".");
}

}  // namespace torchsearch
