#pragma once

#include <napi.h>

#include <string>

#include "binding/translate.h"

namespace torchsearch::binding {

// Marks the object that a constructor makes as one of its class. It can only fail while the environment is
// torn down, and a constructor must not throw then: ~ObjectWrap would, which ends the process.
inline void tag(const Napi::CallbackInfo& info, const napi_type_tag& kind) {
  (void)napi_type_tag_object(info.Env(), info.This(), &kind);
}

// The C++ object behind a JavaScript one of class `Wrap`, or null. Checked by type tag, so a look-alike made
// with Object.create cannot pass.
template <class Wrap>
Wrap* tryUnwrap(const Napi::Value& value) {
  if (!value.IsObject()) return nullptr;
  const Napi::Object object = value.As<Napi::Object>();
  return object.CheckTypeTag(&Wrap::kTag) ? Wrap::Unwrap(object) : nullptr;
}

template <class Wrap>
Wrap& unwrap(const Napi::Value& value, const std::string& what) {
  Wrap* wrap = tryUnwrap<Wrap>(value);
  if (wrap == nullptr) fail(value.Env(), "ERR_INPUT", what + " must be a " + Wrap::kName + ".");
  return *wrap;
}

}  // namespace torchsearch::binding
