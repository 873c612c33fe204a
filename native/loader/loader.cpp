// A tiny addon that knows nothing of LibTorch: it opens the shared libraries it is told to, in order. Once
// they are open, the dynamic linker satisfies the main addon's needs by their sonames, so that addon needs no
// run path and one binary serves wherever LibTorch happens to be installed.
#include <dlfcn.h>
#include <napi.h>

#include <string>

namespace {

// RTLD_NOW, so that a missing symbol is reported here by name and does not end the process later. RTLD_LOCAL,
// as Python opens libtorch: made global, LibTorch's own copies of protobuf and others would be seen by every
// addon loaded afterwards. The handle is never closed: LibTorch's static registrations do not survive it.
void OpenLibrary(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  if (info.Length() < 1 || !info[0].IsString()) {
    throw Napi::TypeError::New(env, "openLibrary expects the absolute path of a shared library");
  }
  const std::string path = info[0].As<Napi::String>().Utf8Value();
  if (dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL) == nullptr) {
    const char* reason = dlerror();
    throw Napi::Error::New(env, reason != nullptr ? reason : "unknown reason");
  }
}

Napi::Object Init(Napi::Env env, Napi::Object exports) {
  exports.Set("openLibrary", Napi::Function::New(env, OpenLibrary, "openLibrary"));
  return exports;
}

}  // namespace

NODE_API_MODULE(torchsearch_loader, Init)
