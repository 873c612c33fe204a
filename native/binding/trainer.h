#pragma once

#include <napi.h>

#include <memory>

#include "core/train/trainer.h"

namespace torchsearch::binding {

// JavaScript's handle of a training run.
class TrainerWrap : public Napi::ObjectWrap<TrainerWrap> {
 public:
  static constexpr const char* kName = "Trainer";
  static constexpr napi_type_tag kTag{0x6f1c5f1d3c2b4a08, 0x9d0e7a6b5c4d3e08};
  static void define(Napi::Env env, Napi::Object exports);

  // What a handle is made from; passed to the constructor as an external.
  struct Seed {
    std::shared_ptr<Trainer> trainer;
    std::shared_ptr<const c10::FunctionSchema> schema;  // of the model's forward
  };

  explicit TrainerWrap(const Napi::CallbackInfo& info);

 private:
  static Napi::Value create(const Napi::CallbackInfo& info);
  static Napi::Value createSupernet(const Napi::CallbackInfo& info);

  Napi::Value run(const Napi::CallbackInfo& info);
  Napi::Value share(const Napi::CallbackInfo& info);
  Napi::Value step(const Napi::CallbackInfo& info);
  Napi::Value begin(const Napi::CallbackInfo& info);
  Napi::Value finish(const Napi::CallbackInfo& info);
  Napi::Value abandon(const Napi::CallbackInfo& info);
  Napi::Value status(const Napi::CallbackInfo& info);
  Napi::Value trained(const Napi::CallbackInfo& info);
  Napi::Value keep(const Napi::CallbackInfo& info);
  Napi::Value restoreKept(const Napi::CallbackInfo& info);
  Napi::Value state(const Napi::CallbackInfo& info);
  Napi::Value load(const Napi::CallbackInfo& info);
  Napi::Value recalibrate(const Napi::CallbackInfo& info);
  Napi::Value recalibrateBatch(const Napi::CallbackInfo& info);
  Napi::Value readOutputs(const Napi::CallbackInfo& info);
  Napi::Value close(const Napi::CallbackInfo& info);

  const std::shared_ptr<Trainer>& open(Napi::Env env) const;

  std::shared_ptr<Trainer> trainer_;  // null once closed
  std::shared_ptr<const c10::FunctionSchema> schema_;
};

}  // namespace torchsearch::binding
