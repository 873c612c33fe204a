#include "binding/translate.h"

#include "binding/env_data.h"

namespace torchsearch::binding {

Napi::Error makeError(Napi::Env env, const Failure& failure) {
  const EnvData& data = EnvData::of(env);
  const Napi::String code = Napi::String::New(env, failure.code);
  if (data.torchSearchError.IsEmpty()) {
    Napi::Error error = Napi::Error::New(env, failure.message);
    error.Set("code", code);
    return error;
  }
  return Napi::Error(env, data.torchSearchError.New({code, Napi::String::New(env, failure.message)}));
}

void fail(Napi::Env env, const std::string& code, const std::string& message) {
  throw makeError(env, {code, message});
}

}  // namespace torchsearch::binding
