#pragma once

#include <napi.h>

namespace torchsearch::binding {

void defineDeviceMemory(Napi::Env env, Napi::Object exports);

}  // namespace torchsearch::binding
