#pragma once

#include <napi.h>

#include <memory>
#include <string>

#include "core/space/search_space.h"

namespace torchsearch::binding {

// JavaScript's handle of a search space. The weights are the module's; V8 is told of the activations that are
// kept, whenever a subnet is selected.
class SearchSpaceWrap : public Napi::ObjectWrap<SearchSpaceWrap> {
 public:
  static constexpr const char* kName = "SearchSpace";
  static constexpr napi_type_tag kTag{0x6f1c5f1d3c2b4a06, 0x9d0e7a6b5c4d3e06};
  static void define(Napi::Env env, Napi::Object exports);

  static Napi::Value wrap(Napi::Env env, std::shared_ptr<SearchSpace> space);

  explicit SearchSpaceWrap(const Napi::CallbackInfo& info);
  void Finalize(Napi::Env env) override;

 private:
  static Napi::Value convert(const Napi::CallbackInfo& info);

  Napi::Value hyperparameters(const Napi::CallbackInfo& info);
  Napi::Value unprunable(const Napi::CallbackInfo& info);
  Napi::Value constants(const Napi::CallbackInfo& info);
  Napi::Value addTensors(const Napi::CallbackInfo& info);
  Napi::Value addNumbers(const Napi::CallbackInfo& info);
  Napi::Value active(const Napi::CallbackInfo& info);
  Napi::Value select(const Napi::CallbackInfo& info);
  Napi::Value cost(const Napi::CallbackInfo& info);
  Napi::Value forward(const Napi::CallbackInfo& info);
  Napi::Value recalibrate(const Napi::CallbackInfo& info);
  Napi::Value reuseActivations(const Napi::CallbackInfo& info);
  Napi::Value expect(const Napi::CallbackInfo& info);
  Napi::Value reuse(const Napi::CallbackInfo& info);
  Napi::Value measureLatency(const Napi::CallbackInfo& info);
  Napi::Value timeSubnets(const Napi::CallbackInfo& info);
  Napi::Value useLatencyTable(const Napi::CallbackInfo& info);
  Napi::Value measure(const Napi::CallbackInfo& info);
  Napi::Value measureAll(const Napi::CallbackInfo& info);
  Napi::Value scores(const Napi::CallbackInfo& info);
  Napi::Value reorder(const Napi::CallbackInfo& info);
  Napi::Value exportSubnet(const Napi::CallbackInfo& info);
  Napi::Value module(const Napi::CallbackInfo& info);
  Napi::Value device(const Napi::CallbackInfo& info);
  Napi::Value closed(const Napi::CallbackInfo& info);
  Napi::Value close(const Napi::CallbackInfo& info);

  bool isClosed() const { return space_ == nullptr || space_->module()->closed(); }
  // The space, to be called; ERR_CLOSED.
  const std::shared_ptr<SearchSpace>& open(Napi::Env env) const;

  void reportMemory(Napi::Env env);

  std::shared_ptr<SearchSpace> space_;  // null once closed
  int64_t reported_ = 0;                // bytes that V8 knows of
};

}  // namespace torchsearch::binding
