#include "binding/device_memory.h"

#include "binding/translate.h"
#include "core/device.h"
#include "core/device_memory.h"

namespace torchsearch::binding {

namespace {

c10::Device deviceOf(const Napi::Value& name) {
  return parseDevice(name.ToString().Utf8Value());
}

// (device: string): { allocated, peakAllocated, reserved, peakReserved } | null
Napi::Value deviceMemoryCall(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&]() -> Napi::Value {
    const auto memory = deviceMemory(deviceOf(info[0]));
    if (!memory) return info.Env().Null();
    Napi::Object out = Napi::Object::New(info.Env());
    out.Set("allocated", static_cast<double>(memory->allocated));
    out.Set("peakAllocated", static_cast<double>(memory->peakAllocated));
    out.Set("reserved", static_cast<double>(memory->reserved));
    out.Set("peakReserved", static_cast<double>(memory->peakReserved));
    return out;
  });
}

// (device: string)
Napi::Value resetDeviceMemoryPeakCall(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&]() -> Napi::Value {
    resetDeviceMemoryPeak(deviceOf(info[0]));
    return info.Env().Undefined();
  });
}

}  // namespace

void defineDeviceMemory(Napi::Env env, Napi::Object exports) {
  exports.Set("deviceMemory", Napi::Function::New<deviceMemoryCall>(env, "deviceMemory"));
  exports.Set("resetDeviceMemoryPeak",
              Napi::Function::New<resetDeviceMemoryPeakCall>(env, "resetDeviceMemoryPeak"));
}

}  // namespace torchsearch::binding
