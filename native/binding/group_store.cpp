#include "binding/group_store.h"

#include <chrono>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "binding/job.h"
#include "binding/translate.h"
#include "binding/unwrap.h"
#include "core/base/error.h"

namespace torchsearch::binding {

namespace {

std::string textOf(const Napi::Value& value, const char* what) {
  if (!value.IsString()) fail(value.Env(), "ERR_INPUT", std::string(what) + " must be a string.");
  return value.As<Napi::String>().Utf8Value();
}

std::chrono::milliseconds timeOf(const Napi::Value& value, const char* what) {
  if (!value.IsNumber()) fail(value.Env(), "ERR_INPUT", std::string(what) + " must be milliseconds.");
  return std::chrono::milliseconds(value.As<Napi::Number>().Int64Value());
}

// The store that `join` made.
GroupStore& joined(const std::unique_ptr<GroupStore>& store) {
  if (store == nullptr) throw Error("ERR_CLOSED", "The group was not joined.");
  return *store;
}

Finish finishWith(std::string text) {
  return [text = std::move(text)](Napi::Env env) { return Napi::String::New(env, text); };
}

std::vector<std::string> textsOf(const Napi::Value& value, const char* what) {
  if (!value.IsArray()) fail(value.Env(), "ERR_INPUT", std::string(what) + " must be an array of strings.");
  const Napi::Array list = value.As<Napi::Array>();
  std::vector<std::string> texts;
  for (uint32_t i = 0; i < list.Length(); ++i) texts.push_back(textOf(list.Get(i), what));
  return texts;
}

}  // namespace

StoreOptions readStoreOptions(const Napi::Value& value) {
  if (!value.IsObject())
    fail(value.Env(), "ERR_INPUT", "A store needs { host, port, serve, listenOn, timeout }.");
  const Napi::Object given = value.As<Napi::Object>();
  StoreOptions options;
  options.host = textOf(given.Get("host"), "host");
  options.port = static_cast<uint16_t>(Napi::Value(given.Get("port")).ToNumber().Uint32Value());
  options.serve = Napi::Value(given.Get("serve")).ToBoolean();
  options.listenOn = textOf(given.Get("listenOn"), "listenOn");
  options.timeout = timeOf(given.Get("timeout"), "timeout");
  return options;
}

ExchangePlace readExchangePlace(const Napi::Value& value) {
  if (!value.IsObject())
    fail(value.Env(), "ERR_INPUT", "A place needs { rank, ranks, prefix, ended, beats, left, lease }.");
  const Napi::Object given = value.As<Napi::Object>();
  ExchangePlace place;
  place.rank = Napi::Value(given.Get("rank")).ToNumber().Int64Value();
  place.ranks = Napi::Value(given.Get("ranks")).ToNumber().Int64Value();
  place.prefix = textOf(given.Get("prefix"), "prefix");
  place.ended = textOf(given.Get("ended"), "ended");
  place.beats = textOf(given.Get("beats"), "beats");
  place.left = textOf(given.Get("left"), "left");
  place.lease = timeOf(given.Get("lease"), "lease");
  return place;
}

void GroupStoreWrap::define(Napi::Env env, Napi::Object exports) {
  exports.Set(
      kName,
      DefineClass(
          env, kName,
          {InstanceMethod<&GroupStoreWrap::join>("join"), InstanceMethod<&GroupStoreWrap::add>("add"),
           InstanceMethod<&GroupStoreWrap::set>("set"),
           InstanceMethod<&GroupStoreWrap::compareSet>("compareSet"),
           InstanceMethod<&GroupStoreWrap::get>("get"), InstanceMethod<&GroupStoreWrap::wait>("wait"),
           InstanceMethod<&GroupStoreWrap::beat>("beat"), InstanceMethod<&GroupStoreWrap::close>("close")}));
}

GroupStoreWrap::GroupStoreWrap(const Napi::CallbackInfo& info) : ObjectWrap(info) {
  tag(info, kTag);
}

// ({ host, port, serve, listenOn, timeout }, call): Promise<number>, the store's port
Napi::Value GroupStoreWrap::join(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return promised(env, [&]() -> Napi::Value {
    const StoreOptions options = readStoreOptions(info[0]);
    const CallOptions call = CallOptions::read(info[1]);
    return thread_.submit(env, [=, cancel = call.cancel](std::unique_ptr<GroupStore>& store) -> Finish {
      store = GroupStore::join(options, cancel);
      return [port = store->port()](Napi::Env finishing) { return Napi::Number::New(finishing, port); };
    });
  });
}

// (key: string, delta: number): Promise<number>
Napi::Value GroupStoreWrap::add(const Napi::CallbackInfo& info) {
  return promised(info.Env(), [&]() -> Napi::Value {
    const std::string key = textOf(info[0], "The key");
    const int64_t delta = info[1].ToNumber().Int64Value();
    return thread_.submit(info.Env(), [=](std::unique_ptr<GroupStore>& store) -> Finish {
      const auto sum = static_cast<double>(joined(store).add(key, delta));
      return [sum](Napi::Env env) { return Napi::Number::New(env, sum); };
    });
  });
}

// (key: string, value: string): Promise<void>
Napi::Value GroupStoreWrap::set(const Napi::CallbackInfo& info) {
  return promised(info.Env(), [&]() -> Napi::Value {
    const std::string key = textOf(info[0], "The key");
    const std::string value = textOf(info[1], "The value");
    return thread_.submit(info.Env(), [=](std::unique_ptr<GroupStore>& store) -> Finish {
      joined(store).set(key, value);
      return finishWithNothing();
    });
  });
}

// (key: string, expected: string, desired: string): Promise<string>
Napi::Value GroupStoreWrap::compareSet(const Napi::CallbackInfo& info) {
  return promised(info.Env(), [&]() -> Napi::Value {
    const std::string key = textOf(info[0], "The key");
    const std::string expected = textOf(info[1], "The expected value");
    const std::string desired = textOf(info[2], "The desired value");
    return thread_.submit(info.Env(), [=](std::unique_ptr<GroupStore>& store) -> Finish {
      return finishWith(joined(store).compareSet(key, expected, desired));
    });
  });
}

// (keys: string[]): Promise<(string | null)[]>
Napi::Value GroupStoreWrap::get(const Napi::CallbackInfo& info) {
  return promised(info.Env(), [&]() -> Napi::Value {
    const std::vector<std::string> keys = textsOf(info[0], "The keys");
    return thread_.submit(info.Env(), [=](std::unique_ptr<GroupStore>& store) -> Finish {
      return [values = joined(store).get(keys)](Napi::Env env) -> Napi::Value {
        const Napi::Array list = Napi::Array::New(env, values.size());
        for (size_t i = 0; i < values.size(); ++i)
          list.Set(static_cast<uint32_t>(i),
                   values[i] ? Napi::Value(Napi::String::New(env, *values[i])) : env.Null());
        return list;
      };
    });
  });
}

// (keys: string[], milliseconds: number, call): Promise<boolean>
Napi::Value GroupStoreWrap::wait(const Napi::CallbackInfo& info) {
  return promised(info.Env(), [&]() -> Napi::Value {
    const std::vector<std::string> keys = textsOf(info[0], "The keys");
    const std::chrono::milliseconds atMost = timeOf(info[1], "The time");
    const CallOptions call = CallOptions::read(info[2]);
    return thread_.submit(info.Env(),
                          [=, cancel = call.cancel](std::unique_ptr<GroupStore>& store) -> Finish {
                            const bool found = joined(store).wait(keys, atMost, cancel);
                            return [found](Napi::Env env) { return Napi::Boolean::New(env, found); };
                          });
  });
}

// (key: string, milliseconds: number): Promise<void>
Napi::Value GroupStoreWrap::beat(const Napi::CallbackInfo& info) {
  return promised(info.Env(), [&]() -> Napi::Value {
    const std::string key = textOf(info[0], "The key");
    const std::chrono::milliseconds every = timeOf(info[1], "The time");
    return thread_.submit(info.Env(), [=](std::unique_ptr<GroupStore>& store) -> Finish {
      joined(store).beat(key, every);
      return finishWithNothing();
    });
  });
}

// (): Promise<void>
Napi::Value GroupStoreWrap::close(const Napi::CallbackInfo& info) {
  return promised(info.Env(), [&]() -> Napi::Value { return thread_.close(info.Env()); });
}

}  // namespace torchsearch::binding
