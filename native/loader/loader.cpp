// A tiny addon that knows nothing of LibTorch: it opens the shared libraries it is told to, in order. Once
// they are open, the dynamic linker satisfies the main addon's needs by their sonames, so that addon needs no
// run path and one binary serves wherever LibTorch happens to be installed.
#include <dlfcn.h>
#include <napi.h>

#include <memory>
#include <string>
#include <utility>

namespace {

// How OpenMP's threads wait for work. By default they spin for milliseconds, and where another process keeps
// a core busy, they take the time that the thread with the work needs: a search took 6 to 50 times as long.
// GNU's runtime reads its environment once, when it is opened, so ours is there only meanwhile: child
// processes must not inherit it.
class SpinBriefly {
 public:
  SpinBriefly() : lock_(mutex()) {
    // A user's own setting stands.
    if (std::getenv(kSpins) != nullptr || std::getenv("OMP_WAIT_POLICY") != nullptr) return;
    ours_ = setenv(kSpins, "1000", 0) == 0;
  }
  ~SpinBriefly() {
    if (ours_) unsetenv(kSpins);
  }
  SpinBriefly(const SpinBriefly&) = delete;
  SpinBriefly& operator=(const SpinBriefly&) = delete;

 private:
  static constexpr const char* kSpins = "GOMP_SPINCOUNT";
  static std::mutex& mutex() {
    static std::mutex one;
    return one;
  }
  std::lock_guard<std::mutex> lock_;
  bool ours_ = false;
};

// The runtimes of LLVM and Intel read their environment at the first parallel region instead, so it has to
// stay. They spin for 200 ms; one is enough between the operators of a forward.
void LetLlvmSleep() {
  if (std::getenv("OMP_WAIT_POLICY") != nullptr) return;
  for (const char* runtime : {"libiomp5.so", "libomp.so", "libomp.so.5"}) {
    void* handle = dlopen(runtime, RTLD_NOW | RTLD_NOLOAD);
    if (handle == nullptr) continue;
    dlclose(handle);
    setenv("KMP_BLOCKTIME", "1", 0);
    return;
  }
}

// RTLD_NOW, so that a missing symbol is reported here by name and does not end the process later. RTLD_LOCAL,
// as Python opens libtorch: made global, LibTorch's own copies of protobuf and others would be seen by every
// addon loaded afterwards. The handle is never closed: LibTorch's static registrations do not survive it.
std::string Open(const std::string& path) {
  const SpinBriefly briefly;
  if (dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL) != nullptr) {
    LetLlvmSleep();
    return "";
  }
  const char* reason = dlerror();
  return reason != nullptr ? reason : "unknown reason";
}

std::string PathArgument(const Napi::CallbackInfo& info) {
  if (info.Length() < 1 || !info[0].IsString()) {
    throw Napi::TypeError::New(info.Env(), "a library is opened by its absolute path");
  }
  return info[0].As<Napi::String>().Utf8Value();
}

void OpenLibrary(const Napi::CallbackInfo& info) {
  const std::string problem = Open(PathArgument(info));
  if (!problem.empty()) throw Napi::Error::New(info.Env(), problem);
}

// Opening LibTorch takes a third of a second, which the event loop need not wait for.
class OpenWorker : public Napi::AsyncWorker {
 public:
  OpenWorker(Napi::Env env, std::string path)
      : Napi::AsyncWorker(env, "openLibrary"),
        deferred_(Napi::Promise::Deferred::New(env)),
        path_(std::move(path)) {}

  Napi::Promise Promise() const { return deferred_.Promise(); }

 protected:
  void Execute() override {
    const std::string problem = Open(path_);
    if (!problem.empty()) SetError(problem);
  }
  void OnOK() override { deferred_.Resolve(Env().Undefined()); }
  void OnError(const Napi::Error& error) override { deferred_.Reject(error.Value()); }

 private:
  Napi::Promise::Deferred deferred_;
  std::string path_;
};

Napi::Value OpenLibraryAsync(const Napi::CallbackInfo& info) {
  auto worker = std::make_unique<OpenWorker>(info.Env(), PathArgument(info));
  const Napi::Promise promise = worker->Promise();
  worker->Queue();
  worker.release();  // it deletes itself when it is done
  return promise;
}

Napi::Object Init(Napi::Env env, Napi::Object exports) {
  exports.Set("openLibrary", Napi::Function::New(env, OpenLibrary, "openLibrary"));
  exports.Set("openLibraryAsync", Napi::Function::New(env, OpenLibraryAsync, "openLibraryAsync"));
  return exports;
}

}  // namespace

NODE_API_MODULE(torchsearch_loader, Init)
