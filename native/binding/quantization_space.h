#pragma once

#include <napi.h>

#include <memory>
#include <string>

#include "core/quantization/quantization_space.h"

namespace torchsearch::binding {

// JavaScript's handle of a quantization space. V8 is told of no memory for it: the weights are the module's.
class QuantizationSpaceWrap : public Napi::ObjectWrap<QuantizationSpaceWrap> {
 public:
  static constexpr const char* kName = "QuantizationSpace";
  static constexpr napi_type_tag kTag{0x6f1c5f1d3c2b4a21, 0x9d0e7a6b5c4d3e21};
  static void define(Napi::Env env, Napi::Object exports);

  explicit QuantizationSpaceWrap(const Napi::CallbackInfo& info);

 private:
  static Napi::Value convert(const Napi::CallbackInfo& info);

  Napi::Value layers(const Napi::CallbackInfo& info);
  Napi::Value active(const Napi::CallbackInfo& info);
  Napi::Value select(const Napi::CallbackInfo& info);
  Napi::Value forward(const Napi::CallbackInfo& info);
  Napi::Value observe(const Napi::CallbackInfo& info);
  Napi::Value forgetActivations(const Napi::CallbackInfo& info);
  Napi::Value activationEnds(const Napi::CallbackInfo& info);
  Napi::Value setActivationEnds(const Napi::CallbackInfo& info);
  Napi::Value gradients(const Napi::CallbackInfo& info);
  Napi::Value outputs(const Napi::CallbackInfo& info);
  Napi::Value exportModule(const Napi::CallbackInfo& info);
  Napi::Value device(const Napi::CallbackInfo& info);
  Napi::Value closed(const Napi::CallbackInfo& info);
  Napi::Value close(const Napi::CallbackInfo& info);

  bool isClosed() const { return space_ == nullptr || space_->module()->closed(); }
  // The space, to be called; ERR_CLOSED.
  const std::shared_ptr<QuantizationSpace>& open(Napi::Env env) const;

  std::shared_ptr<QuantizationSpace> space_;  // null once closed
};

// fakeQuantize.
void defineQuantization(Napi::Env env, Napi::Object exports);

}  // namespace torchsearch::binding
