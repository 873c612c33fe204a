#pragma once

#include <napi.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "binding/env_data.h"
#include "binding/ivalue.h"
#include "binding/job.h"
#include "binding/translate.h"
#include "binding/unwrap.h"

namespace torchsearch::binding {

// What JavaScript's handles of spaces have in common. `Wrap` is the handle's class, which says what its
// objects are called (kName in JavaScript, kNoun in messages), where its constructor is kept (kConstructor,
// in EnvData), whether an open handle's space can't be used any more (isGone), and what closing it says
// (kClosed).
template <class Wrap, class Space>
class SpaceWrap : public Napi::ObjectWrap<Wrap> {
 public:
  static Napi::Value wrap(Napi::Env env, std::shared_ptr<Space> space) {
    return (EnvData::of(env).*Wrap::kConstructor).New({Napi::External<Seed>::New(env, &space)});
  }

  explicit SpaceWrap(const Napi::CallbackInfo& info) : Base(info) {
    if (!info[0].IsExternal()) {
      fail(info.Env(), "ERR_INPUT",
           std::string("Make ") + Wrap::kNoun + "s with " + Wrap::kName + ".convert.");
    }
    space_ = *info[0].template As<Napi::External<Seed>>().Data();
    tag(info, Wrap::kTag);
  }

 protected:
  using Seed = std::shared_ptr<Space>;
  using Base = Napi::ObjectWrap<Wrap>;
  using Properties = std::vector<Napi::ClassPropertyDescriptor<Wrap>>;

  // Defines the class with these properties and the common ones: forward, device, closed, close.
  static void defineSpace(Napi::Env env, Napi::Object exports, Properties properties) {
    properties.push_back(Base::InstanceMethod("forward", &SpaceWrap::forward));
    properties.push_back(Base::InstanceAccessor("device", &SpaceWrap::device, nullptr));
    properties.push_back(Base::InstanceAccessor("closed", &SpaceWrap::closed, nullptr));
    properties.push_back(Base::InstanceMethod("close", &SpaceWrap::close));
    const Napi::Function constructor = Base::DefineClass(env, Wrap::kName, properties);
    EnvData& data = EnvData::of(env);
    data.*Wrap::kConstructor = Napi::Persistent(constructor);
    data.forwardables.push_back([](const Napi::Object& value) -> std::shared_ptr<Forwardable> {
      const Wrap* handle = tryUnwrap<Wrap>(value);
      return handle == nullptr ? nullptr : handle->open(value.Env());
    });
    exports.Set(Wrap::kName, constructor);
  }

  // The space, to be called; ERR_CLOSED.
  const std::shared_ptr<Space>& open(Napi::Env env) const {
    if (isClosed()) fail(env, "ERR_CLOSED", Wrap::kClosed);
    return space_;
  }

  bool isClosed() const { return space_ == nullptr || Wrap::isGone(*space_); }
  // Null once closed.
  const std::shared_ptr<Space>& held() const { return space_; }
  void release() { space_.reset(); }

 private:
  // After the space was let go.
  virtual void onClose(Napi::Env) {}

  // (args: unknown[], kwargs: record, call)
  Napi::Value forward(const Napi::CallbackInfo& info) {
    const Napi::Env env = info.Env();
    return promised(env, [&] {
      const Seed space = open(env);
      Inputs inputs = toInputs(space->schema().get(), info[0], info[1]);
      return runJob(env, CallOptions::read(info[2]),
                    [space, inputs = std::move(inputs)](const JobContext& context) -> Finish {
                      return [output = space->forward(inputs, context.cancel)](Napi::Env env) {
                        return toJs(env, output);
                      };
                    });
    });
  }

  Napi::Value device(const Napi::CallbackInfo& info) {
    const Napi::Env env = info.Env();
    return guarded(env, [&] { return Napi::String::New(env, open(env)->device().str()); });
  }

  Napi::Value closed(const Napi::CallbackInfo& info) { return Napi::Boolean::New(info.Env(), isClosed()); }

  // The module stays open. A running job keeps the space until it ends.
  Napi::Value close(const Napi::CallbackInfo& info) {
    release();
    onClose(info.Env());
    return info.Env().Undefined();
  }

  std::shared_ptr<Space> space_;
};

}  // namespace torchsearch::binding
