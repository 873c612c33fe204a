#pragma once

#include <napi.h>

#include "binding/store_thread.h"
#include "core/dist/exchange.h"

namespace torchsearch::binding {

// { host, port, serve, listenOn, timeout }
StoreOptions readStoreOptions(const Napi::Value& value);
// { rank, ranks, prefix, ended, beats, left, lease }
ExchangePlace readExchangePlace(const Napi::Value& value);

// JavaScript's handle of the store that a group of processes shares: `new GroupStore()`, then `join`.
class GroupStoreWrap : public Napi::ObjectWrap<GroupStoreWrap> {
 public:
  static constexpr const char* kName = "GroupStore";
  static constexpr napi_type_tag kTag{0x6f1c5f1d3c2b4a0d, 0x9d0e7a6b5c4d3e0d};
  static void define(Napi::Env env, Napi::Object exports);

  explicit GroupStoreWrap(const Napi::CallbackInfo& info);

 private:
  Napi::Value join(const Napi::CallbackInfo& info);
  Napi::Value add(const Napi::CallbackInfo& info);
  Napi::Value set(const Napi::CallbackInfo& info);
  Napi::Value compareSet(const Napi::CallbackInfo& info);
  Napi::Value get(const Napi::CallbackInfo& info);
  Napi::Value wait(const Napi::CallbackInfo& info);
  Napi::Value beat(const Napi::CallbackInfo& info);
  Napi::Value close(const Napi::CallbackInfo& info);

  StoreThread thread_;
};

}  // namespace torchsearch::binding
