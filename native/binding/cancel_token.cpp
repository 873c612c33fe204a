#include "binding/cancel_token.h"

#include "binding/job.h"
#include "binding/unwrap.h"

namespace torchsearch::binding {

void CancelTokenWrap::define(Napi::Env env, Napi::Object exports) {
  exports.Set(kName, DefineClass(env, kName, {InstanceMethod<&CancelTokenWrap::cancel>("cancel")}));
}

CancelTokenWrap::CancelTokenWrap(const Napi::CallbackInfo& info) : ObjectWrap(info) {
  tag(info, kTag);
}

void CancelTokenWrap::cancel(const Napi::CallbackInfo&) {
  token_.cancel();
  ComputeThread::instance().dropCancelled();
}

}  // namespace torchsearch::binding
