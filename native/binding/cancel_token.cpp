#include "binding/cancel_token.h"

#include "binding/job.h"

namespace torchsearch::binding {

void CancelTokenWrap::define(Napi::Env env, Napi::Object exports) {
  exports.Set(kName, DefineClass(env, kName, {InstanceMethod<&CancelTokenWrap::cancel>("cancel")}));
}

CancelTokenWrap::CancelTokenWrap(const Napi::CallbackInfo& info) : ObjectWrap(info) {
  info.This().As<Napi::Object>().TypeTag(&kTag);
}

void CancelTokenWrap::cancel(const Napi::CallbackInfo&) {
  token_.cancel();
  ComputeThread::instance().dropCancelled();
}

}  // namespace torchsearch::binding
