#include "binding/device.h"

#include "binding/translate.h"
#include "core/device/device.h"
#include "core/device/device_memory.h"
#include "core/forward/forward_graph.h"

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

// (on: boolean)
Napi::Value setGraphCaptureCall(const Napi::CallbackInfo& info) {
  setForwardGraphs(info[0].ToBoolean());
  return info.Env().Undefined();
}

// (device: string): { on, offered }
Napi::Value graphCaptureCall(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&]() -> Napi::Value {
    Napi::Object out = Napi::Object::New(info.Env());
    out.Set("on", forwardGraphs());
    out.Set("offered", ForwardGraph::offered(deviceOf(info[0])));
    return out;
  });
}

}  // namespace

void defineDevice(Napi::Env env, Napi::Object exports) {
  exports.Set("deviceMemory", Napi::Function::New<deviceMemoryCall>(env, "deviceMemory"));
  exports.Set("setGraphCapture", Napi::Function::New<setGraphCaptureCall>(env, "setGraphCapture"));
  exports.Set("graphCapture", Napi::Function::New<graphCaptureCall>(env, "graphCapture"));
  exports.Set("resetDeviceMemoryPeak",
              Napi::Function::New<resetDeviceMemoryPeakCall>(env, "resetDeviceMemoryPeak"));
}

}  // namespace torchsearch::binding
