// What JavaScript may call: docs/architecture.md, "The door"; typed in lib/native/addon.ts.
#include <ATen/Version.h>
#include <napi.h>
#include <torch/csrc/jit/runtime/print_handler.h>
#include <torch/cuda.h>
#include <torch/version.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>

#include "binding/cancel_token.h"
#include "binding/dataset.h"
#include "binding/device.h"
#include "binding/env_data.h"
#include "binding/evaluate.h"
#include "binding/group_store.h"
#include "binding/image.h"
#include "binding/importance.h"
#include "binding/job.h"
#include "binding/module.h"
#include "binding/profile.h"
#include "binding/quantization_space.h"
#include "binding/reconstruction.h"
#include "binding/score.h"
#include "binding/search_space.h"
#include "binding/sparse_space.h"
#include "binding/tensor.h"
#include "binding/trainer.h"
#include "binding/translate.h"
#include "core/device/tensor_memory.h"

namespace torchsearch::binding {
namespace {

// ({ TorchSearchError })
void init(const Napi::CallbackInfo& info) {
  const Napi::Value constructor =
      info[0].IsObject() ? info[0].As<Napi::Object>().Get("TorchSearchError") : info[0];
  if (!constructor.IsFunction()) fail(info.Env(), "ERR_INPUT", "init needs { TorchSearchError }.");
  EnvData::of(info.Env()).torchSearchError = Napi::Persistent(constructor.As<Napi::Function>());
}

Napi::Value versions(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&]() -> Napi::Value {
    Napi::Object out = Napi::Object::New(info.Env());
    out.Set("torch", TORCH_VERSION);
    out.Set("napi", NAPI_VERSION);
    out.Set("cpuCapability", at::get_cpu_capability());
    out.Set("cuda", torch::cuda::is_available());
    return out;
  });
}

// Whether somebody chose the number of threads: the default of a worker that loads the addon later doesn't
// replace it.
std::atomic<bool> threadsChosen{false};

int threadsArgument(const Napi::CallbackInfo& info) {
  const int64_t count = info[0].IsNumber() ? info[0].As<Napi::Number>().Int64Value() : 0;
  if (count < 1 || count > 4096)
    fail(info.Env(), "ERR_INPUT", "setThreads needs a whole number of at least 1.");
  return static_cast<int>(count);
}

void setThreads(const Napi::CallbackInfo& info) {
  const int count = threadsArgument(info);
  threadsChosen = true;
  ComputeThread::instance().setThreads(count);
}

void setDefaultThreads(const Napi::CallbackInfo& info) {
  const int count = threadsArgument(info);
  if (!threadsChosen.exchange(true)) ComputeThread::instance().setThreads(count);
}

Napi::Value getThreads(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), ComputeThread::instance().threads());
}

void giveUp(const Napi::CallbackInfo&) {
  ComputeThread::instance().giveUp();
}

void leaveAtOnce(int status) {
  std::fflush(nullptr);
  std::_Exit(status);
}

// The process is about to end (process.exit(), an uncaught exception, or its last line). LibTorch's statics
// must not be destroyed under a running job. One that doesn't end makes the process leave without destroying
// any: what is registered last runs first, before the destructors of statics that jobs have made.
void leave(const Napi::CallbackInfo&) {
  if (ComputeThread::instance().leave()) return;
#ifdef __GLIBC__
  ::on_exit([](int status, void*) { leaveAtOnce(status); }, nullptr);
#else
  std::atexit([] { leaveAtOnce(EXIT_FAILURE); });  // the status is unknown here
#endif
}

Napi::Object define(Napi::Env env, Napi::Object exports) {
  EnvData::create(env);
  TensorMemory::instance();
  // What a model prints, where it may: standard output belongs to the program (`--json`).
  torch::jit::setPrintHandler([](const std::string& text) { (void)std::fputs(text.c_str(), stderr); });
  exports.Set("init", Napi::Function::New<init>(env, "init"));
  exports.Set("versions", Napi::Function::New<versions>(env, "versions"));
  exports.Set("setThreads", Napi::Function::New<setThreads>(env, "setThreads"));
  exports.Set("setDefaultThreads", Napi::Function::New<setDefaultThreads>(env, "setDefaultThreads"));
  exports.Set("getThreads", Napi::Function::New<getThreads>(env, "getThreads"));
  exports.Set("leave", Napi::Function::New<leave>(env, "leave"));
  exports.Set("giveUp", Napi::Function::New<giveUp>(env, "giveUp"));
  CancelTokenWrap::define(env, exports);
  TensorWrap::define(env, exports);
  ModuleWrap::define(env, exports);
  SearchSpaceWrap::define(env, exports);
  SparseSpaceWrap::define(env, exports);
  DatasetWrap::define(env, exports);
  ScoreWrap::define(env, exports);
  ImportanceWrap::define(env, exports);
  ReconstructionWrap::define(env, exports);
  TrainerWrap::define(env, exports);
  GroupStoreWrap::define(env, exports);
  defineDevice(env, exports);
  defineEvaluate(env, exports);
  defineImage(env, exports);
  defineProfile(env, exports);
  defineQuantization(env, exports);
  return exports;
}

}  // namespace

NODE_API_MODULE(torchsearch, define)

}  // namespace torchsearch::binding
