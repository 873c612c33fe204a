#pragma once

#include <napi.h>

#include <memory>
#include <string>

#include "binding/space_wrap.h"
#include "core/quantization/quantization_space.h"

namespace torchsearch::binding {

// JavaScript's handle of a quantization space. V8 is told of no memory for it: the weights are the module's.
class QuantizationSpaceWrap : public SpaceWrap<QuantizationSpaceWrap, QuantizationSpace> {
 public:
  static constexpr const char* kName = "QuantizationSpace";
  static constexpr const char* kNoun = "quantization space";
  static constexpr const char* kClosed =
      "This quantization space, or its module, is closed; convert a module again.";
  static constexpr auto kConstructor = &EnvData::quantizationSpace;
  static constexpr napi_type_tag kTag{0x6f1c5f1d3c2b4a21, 0x9d0e7a6b5c4d3e21};
  static bool isGone(const QuantizationSpace& space) { return space.module()->closed(); }
  static void define(Napi::Env env, Napi::Object exports);

  using SpaceWrap::SpaceWrap;

 private:
  static Napi::Value convert(const Napi::CallbackInfo& info);

  Napi::Value layers(const Napi::CallbackInfo& info);
  Napi::Value active(const Napi::CallbackInfo& info);
  Napi::Value select(const Napi::CallbackInfo& info);
  Napi::Value observe(const Napi::CallbackInfo& info);
  Napi::Value forgetActivations(const Napi::CallbackInfo& info);
  Napi::Value activationEnds(const Napi::CallbackInfo& info);
  Napi::Value setActivationEnds(const Napi::CallbackInfo& info);
  Napi::Value gradients(const Napi::CallbackInfo& info);
  Napi::Value outputs(const Napi::CallbackInfo& info);
  Napi::Value exportModule(const Napi::CallbackInfo& info);
};

// fakeQuantize.
void defineQuantization(Napi::Env env, Napi::Object exports);

}  // namespace torchsearch::binding
