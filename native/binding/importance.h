#pragma once

#include <napi.h>

#include <memory>

#include "core/importance/importance.h"

namespace torchsearch::binding {

// JavaScript's handle of a measure of importance, for SearchSpace.measure and its siblings.
class ImportanceWrap : public Napi::ObjectWrap<ImportanceWrap> {
 public:
  static constexpr const char* kName = "Importance";
  static constexpr napi_type_tag kTag{0x6f1c5f1d3c2b4a07, 0x9d0e7a6b5c4d3e07};
  static void define(Napi::Env env, Napi::Object exports);

  explicit ImportanceWrap(const Napi::CallbackInfo& info);
  // The measure behind a handle that was passed as an argument. ERR_INPUT for anything else.
  static std::shared_ptr<Importance> of(const Napi::Value& value);

 private:
  Napi::Value needsData(const Napi::CallbackInfo& info);
  Napi::Value needsTarget(const Napi::CallbackInfo& info);
  Napi::Value readOutputs(const Napi::CallbackInfo& info);

  std::shared_ptr<Importance> importance_;
};

}  // namespace torchsearch::binding
