#pragma once

#include <napi.h>

#include "core/base/cancel.h"

namespace torchsearch::binding {

// JavaScript's side of a CancelToken: `new CancelToken()`, then `cancel()`.
class CancelTokenWrap : public Napi::ObjectWrap<CancelTokenWrap> {
 public:
  static constexpr const char* kName = "CancelToken";
  static constexpr napi_type_tag kTag{0x6f1c5f1d3c2b4a01, 0x9d0e7a6b5c4d3e01};
  static void define(Napi::Env env, Napi::Object exports);

  explicit CancelTokenWrap(const Napi::CallbackInfo& info);
  const CancelToken& token() const { return token_; }

 private:
  void cancel(const Napi::CallbackInfo& info);

  CancelToken token_;
};

}  // namespace torchsearch::binding
