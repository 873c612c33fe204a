#pragma once

#include <napi.h>

namespace torchsearch::binding {

// deviceMemory, resetDeviceMemoryPeak, setGraphCapture and graphCapture.
void defineDevice(Napi::Env env, Napi::Object exports);

}  // namespace torchsearch::binding
