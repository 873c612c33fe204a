#pragma once

#include <napi.h>

#include <memory>
#include <string>

#include "binding/space_wrap.h"
#include "core/space/search_space.h"

namespace torchsearch::binding {

// JavaScript's handle of a search space. The weights are the module's; V8 is told of the activations that are
// kept, whenever a subnet is selected.
class SearchSpaceWrap : public SpaceWrap<SearchSpaceWrap, SearchSpace> {
 public:
  static constexpr const char* kName = "SearchSpace";
  static constexpr const char* kNoun = "search space";
  static constexpr const char* kClosed =
      "This search space, or its module, is closed; convert a module again.";
  static constexpr auto kConstructor = &EnvData::searchSpace;
  static constexpr napi_type_tag kTag{0x6f1c5f1d3c2b4a06, 0x9d0e7a6b5c4d3e06};
  static bool isGone(const SearchSpace& space) { return space.module()->closed(); }
  static void define(Napi::Env env, Napi::Object exports);

  using SpaceWrap::SpaceWrap;
  void Finalize(Napi::Env env) override;

 private:
  static Napi::Value convert(const Napi::CallbackInfo& info);

  Napi::Value hyperparameters(const Napi::CallbackInfo& info);
  Napi::Value unprunable(const Napi::CallbackInfo& info);
  Napi::Value exportLosses(const Napi::CallbackInfo& info);
  Napi::Value ownMethods(const Napi::CallbackInfo& info);
  Napi::Value constants(const Napi::CallbackInfo& info);
  Napi::Value addTensors(const Napi::CallbackInfo& info);
  Napi::Value addNumbers(const Napi::CallbackInfo& info);
  Napi::Value active(const Napi::CallbackInfo& info);
  Napi::Value select(const Napi::CallbackInfo& info);
  Napi::Value cost(const Napi::CallbackInfo& info);
  Napi::Value recalibrate(const Napi::CallbackInfo& info);
  Napi::Value reuseActivations(const Napi::CallbackInfo& info);
  Napi::Value expect(const Napi::CallbackInfo& info);
  Napi::Value reuse(const Napi::CallbackInfo& info);
  Napi::Value measureLatency(const Napi::CallbackInfo& info);
  Napi::Value timeSubnets(const Napi::CallbackInfo& info);
  Napi::Value useLatencyTable(const Napi::CallbackInfo& info);
  Napi::Value measure(const Napi::CallbackInfo& info);
  Napi::Value measureAll(const Napi::CallbackInfo& info);
  Napi::Value structures(const Napi::CallbackInfo& info);
  Napi::Value scores(const Napi::CallbackInfo& info);
  Napi::Value restoreOrder(const Napi::CallbackInfo& info);
  Napi::Value reorder(const Napi::CallbackInfo& info);
  Napi::Value findNarrowedLayers(const Napi::CallbackInfo& info);
  Napi::Value reconstruct(const Napi::CallbackInfo& info);
  Napi::Value exportSubnet(const Napi::CallbackInfo& info);
  Napi::Value recipe(const Napi::CallbackInfo& info);
  Napi::Value module(const Napi::CallbackInfo& info);

  void onClose(Napi::Env env) override { reportMemory(env); }
  void reportMemory(Napi::Env env);

  int64_t reported_ = 0;  // bytes that V8 knows of
};

}  // namespace torchsearch::binding
