#pragma once

#include <napi.h>

namespace torchsearch::binding {

// resizeAndCrop and normalizeImages.
void defineImage(Napi::Env env, Napi::Object exports);

}  // namespace torchsearch::binding
