#pragma once

#include <napi.h>

#include <string>

#include "core/base/failure.h"

namespace torchsearch::binding {

// A TorchSearchError (a plain Error with `code` before `init` was called).
Napi::Error makeError(Napi::Env env, const Failure& failure);

// Throws it into JavaScript.
[[noreturn]] void fail(Napi::Env env, const std::string& code, const std::string& message);

// Runs `work`; a C++ exception leaves as a JavaScript one.
template <class Work>
auto guarded(Napi::Env env, Work&& work) -> decltype(work()) {
  try {
    return work();
  } catch (const Napi::Error&) {
    throw;
  } catch (...) {
    throw makeError(env, describeFailure(std::current_exception(), "ERR_TORCH"));
  }
}

// Runs `work`, which gives a promise; whatever it throws becomes a rejected promise.
template <class Work>
Napi::Value promised(Napi::Env env, Work&& work) {
  try {
    return guarded(env, work);
  } catch (const Napi::Error& error) {
    const auto deferred = Napi::Promise::Deferred::New(env);
    deferred.Reject(error.Value());
    return deferred.Promise();
  }
}

}  // namespace torchsearch::binding
