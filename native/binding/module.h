#pragma once

#include <napi.h>

#include <memory>
#include <vector>

#include "core/model/module.h"

namespace torchsearch::binding {

// JavaScript's handle of a module.
class ModuleWrap : public Napi::ObjectWrap<ModuleWrap> {
 public:
  static constexpr const char* kName = "Module";
  static constexpr napi_type_tag kTag{0x6f1c5f1d3c2b4a03, 0x9d0e7a6b5c4d3e03};
  static void define(Napi::Env env, Napi::Object exports);

  // A new handle; also for modules made by other functions (an exported subnet).
  static Napi::Value wrap(Napi::Env env, std::shared_ptr<Module> module);
  // The module of a value that must be a Module; ERR_INPUT, ERR_CLOSED.
  static std::shared_ptr<Module> of(const Napi::Value& value, const std::string& what);

  explicit ModuleWrap(const Napi::CallbackInfo& info);
  void Finalize(Napi::Env env) override;

 private:
  static Napi::Value load(const Napi::CallbackInfo& info);
  static Napi::Value sampleInputs(const Napi::CallbackInfo& info);
  static Napi::Value list(Napi::Env env, const std::vector<NamedTensor>& tensors);

  Napi::Value forward(const Napi::CallbackInfo& info);
  Napi::Value forwardSchema(const Napi::CallbackInfo& info);
  Napi::Value save(const Napi::CallbackInfo& info);
  Napi::Value saveExported(const Napi::CallbackInfo& info);
  Napi::Value extraFile(const Napi::CallbackInfo& info);
  Napi::Value setExtraFile(const Napi::CallbackInfo& info);
  Napi::Value namedParameters(const Napi::CallbackInfo& info);
  Napi::Value namedBuffers(const Napi::CallbackInfo& info);
  Napi::Value training(const Napi::CallbackInfo& info);
  Napi::Value train(const Napi::CallbackInfo& info);
  Napi::Value to(const Napi::CallbackInfo& info);
  Napi::Value fingerprint(const Napi::CallbackInfo& info);
  Napi::Value methods(const Napi::CallbackInfo& info);
  Napi::Value bytes(const Napi::CallbackInfo& info);
  Napi::Value device(const Napi::CallbackInfo& info);
  Napi::Value closed(const Napi::CallbackInfo& info);
  Napi::Value close(const Napi::CallbackInfo& info);

  void forget(Napi::Env env);

  std::shared_ptr<Module> module_;
  int64_t reported_ = 0;  // bytes V8 was told about
};

}  // namespace torchsearch::binding
