#include "binding/importance.h"

#include "binding/names.h"
#include "binding/output_view.h"
#include "binding/translate.h"
#include "binding/unwrap.h"

namespace torchsearch::binding {

// new Importance(name: string, { seed?, loss? })
void ImportanceWrap::define(Napi::Env env, Napi::Object exports) {
  exports.Set(kName, DefineClass(env, kName,
                                 {InstanceAccessor<&ImportanceWrap::needsData>("needsData"),
                                  InstanceAccessor<&ImportanceWrap::needsTarget>("needsTarget"),
                                  InstanceMethod<&ImportanceWrap::readOutputs>("readOutputs")}));
}

ImportanceWrap::ImportanceWrap(const Napi::CallbackInfo& info) : ObjectWrap(info) {
  guarded(info.Env(), [&] {
    ImportanceOptions options;
    if (info[1].IsObject()) {
      const Napi::Object object = info[1].As<Napi::Object>();
      if (const Napi::Value seed = object.Get("seed"); seed.IsNumber()) {
        options.seed = static_cast<uint64_t>(seed.As<Napi::Number>().Int64Value());
      }
      if (const Napi::Value loss = object.Get("loss"); !loss.IsUndefined() && !loss.IsNull()) {
        options.loss = readName(kLosses, loss);
      }
    }
    importance_ = Importance::make(readName(kImportances, info[0]), options);
  });
  tag(info, kTag);
}

std::shared_ptr<Importance> ImportanceWrap::of(const Napi::Value& value) {
  return unwrap<ImportanceWrap>(value, "importance").importance_;
}

Napi::Value ImportanceWrap::needsData(const Napi::CallbackInfo& info) {
  return Napi::Boolean::New(info.Env(), importance_->needsData());
}

// (view)
Napi::Value ImportanceWrap::readOutputs(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&] {
    importance_->readOutputs(readOutputView(info[0]));
    return info.Env().Undefined();
  });
}

Napi::Value ImportanceWrap::needsTarget(const Napi::CallbackInfo& info) {
  return Napi::Boolean::New(info.Env(), importance_->needsTarget());
}

}  // namespace torchsearch::binding
