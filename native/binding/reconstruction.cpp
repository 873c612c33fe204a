#include "binding/reconstruction.h"

#include <vector>

#include "binding/translate.h"
#include "binding/unwrap.h"
#include "binding/widths.h"

namespace torchsearch::binding {

// new Reconstruction(keeps: boolean)
void ReconstructionWrap::define(Napi::Env env, Napi::Object exports) {
  exports.Set(kName, DefineClass(env, kName,
                                 {InstanceAccessor<&ReconstructionWrap::needsTarget>("needsTarget"),
                                  InstanceMethod<&ReconstructionWrap::layers>("layers"),
                                  InstanceMethod<&ReconstructionWrap::collect>("collect")}));
}

ReconstructionWrap::ReconstructionWrap(const Napi::CallbackInfo& info)
    : ObjectWrap(info), reconstruction_(std::make_shared<Reconstruction>(info[0].ToBoolean())) {
  tag(info, kTag);
}

std::shared_ptr<Reconstruction> ReconstructionWrap::of(const Napi::Value& value) {
  return unwrap<ReconstructionWrap>(value, "reconstruction").reconstruction_;
}

Napi::Value ReconstructionWrap::needsTarget(const Napi::CallbackInfo& info) {
  return Napi::Boolean::New(info.Env(), reconstruction_->needsTarget());
}

// (): { parameter, bytes }[]
Napi::Value ReconstructionWrap::layers(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return guarded(env, [&]() -> Napi::Value {
    Napi::Array out = Napi::Array::New(env);
    for (const auto& layer : reconstruction_->layers()) {
      Napi::Object item = Napi::Object::New(env);
      item.Set("parameter", layer.weight);
      item.Set("bytes", static_cast<double>(layer.productBytes));
      out.Set(out.Length(), item);
    }
    return out;
  });
}

// (layers: number[])
Napi::Value ReconstructionWrap::collect(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return guarded(env, [&] {
    reconstruction_->collect(readWidths(info[0]));
    return env.Undefined();
  });
}

}  // namespace torchsearch::binding
