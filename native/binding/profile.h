#pragma once

#include <napi.h>

namespace torchsearch::binding {

// profile(module, args, kwargs, options, call).
void defineProfile(Napi::Env env, Napi::Object exports);

}  // namespace torchsearch::binding
