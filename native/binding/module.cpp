#include "binding/module.h"

#include "binding/env_data.h"
#include "binding/ivalue.h"
#include "binding/job.h"
#include "binding/numbers.h"
#include "binding/tensor.h"
#include "binding/translate.h"
#include "binding/unwrap.h"
#include "core/call/arguments.h"
#include "core/device/device.h"
#include "core/model/module_file.h"

namespace torchsearch::binding {

namespace {

LoadOptions readLoadOptions(const Napi::Value& value) {
  LoadOptions options;
  if (value.IsObject()) {
    const Napi::Object given = value.As<Napi::Object>();
    if (const Napi::Value device = given.Get("device"); device.IsString()) {
      options.device = parseDevice(device.As<Napi::String>());
    }
    if (const Napi::Value names = given.Get("allowUnsafe"); names.IsArray()) {
      const Napi::Array list = names.As<Napi::Array>();
      for (uint32_t i = 0; i < list.Length(); ++i) {
        const Napi::Value name = list.Get(i);
        if (name.IsString()) options.allowUnsafe.insert(name.As<Napi::String>());
      }
    }
    if (const Napi::Value bytes = given.Get("maxModelBytes"); bytes.IsNumber()) {
      options.maxModelBytes = static_cast<uint64_t>(bytes.As<Napi::Number>().DoubleValue());
    }
    if (const Napi::Value verify = given.Get("verify"); verify.IsBoolean()) {
      options.verify = verify.As<Napi::Boolean>();
    }
    if (const Napi::Value model = given.Get("model"); model.IsString()) {
      options.model = model.As<Napi::String>().Utf8Value();
    }
  }
  return options;
}

}  // namespace

using ModuleSeed = std::shared_ptr<Module>;

void ModuleWrap::define(Napi::Env env, Napi::Object exports) {
  const Napi::Function constructor = DefineClass(
      env, kName,
      {StaticMethod<&ModuleWrap::load>("load"), StaticMethod<&ModuleWrap::sampleInputs>("sampleInputs"),
       InstanceMethod<&ModuleWrap::forward>("forward"),
       InstanceMethod<&ModuleWrap::forwardSchema>("forwardSchema"), InstanceMethod<&ModuleWrap::save>("save"),
       InstanceMethod<&ModuleWrap::saveExported>("saveExported"),
       InstanceMethod<&ModuleWrap::extraFile>("extraFile"),
       InstanceMethod<&ModuleWrap::setExtraFile>("setExtraFile"),
       InstanceMethod<&ModuleWrap::namedParameters>("namedParameters"),
       InstanceMethod<&ModuleWrap::namedBuffers>("namedBuffers"),
       InstanceAccessor<&ModuleWrap::training>("training"), InstanceMethod<&ModuleWrap::train>("train"),
       InstanceMethod<&ModuleWrap::to>("to"), InstanceMethod<&ModuleWrap::fingerprint>("fingerprint"),
       InstanceMethod<&ModuleWrap::methods>("methods"), InstanceAccessor<&ModuleWrap::bytes>("bytes"),
       InstanceAccessor<&ModuleWrap::device>("device"), InstanceAccessor<&ModuleWrap::closed>("closed"),
       InstanceMethod<&ModuleWrap::close>("close")});
  EnvData& data = EnvData::of(env);
  data.module = Napi::Persistent(constructor);
  data.forwardables.push_back([](const Napi::Object& value) -> std::shared_ptr<Forwardable> {
    const ModuleWrap* wrap = tryUnwrap<ModuleWrap>(value);
    return wrap == nullptr ? nullptr : wrap->module_;
  });
  exports.Set(kName, constructor);
}

ModuleWrap::ModuleWrap(const Napi::CallbackInfo& info) : ObjectWrap(info) {
  if (!info[0].IsExternal()) fail(info.Env(), "ERR_INPUT", "Make modules with Module.load(path).");
  module_ = *info[0].As<Napi::External<ModuleSeed>>().Data();
  reported_ = module_->bytes();
  Napi::MemoryManagement::AdjustExternalMemory(info.Env(), reported_);
  tag(info, kTag);
}

void ModuleWrap::Finalize(Napi::Env env) {
  forget(env);
}

Napi::Value ModuleWrap::wrap(Napi::Env env, std::shared_ptr<Module> module) {
  return EnvData::of(env).module.New({Napi::External<ModuleSeed>::New(env, &module)});
}

std::shared_ptr<Module> ModuleWrap::of(const Napi::Value& value, const std::string& what) {
  const std::shared_ptr<Module> module = unwrap<ModuleWrap>(value, what).module_;
  if (module->closed())
    fail(value.Env(), "ERR_CLOSED", what + " is a closed module; load it again to use it.");
  return module;
}

// (path: string, options: { device?, allowUnsafe?, maxModelBytes?, verify?, model? }, call)
Napi::Value ModuleWrap::load(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return promised(env, [&] {
    if (!info[0].IsString()) fail(env, "ERR_INPUT", "Module.load needs the path of a TorchScript file.");
    const LoadOptions options = readLoadOptions(info[1]);
    return runJob(env, CallOptions::read(info[2]),
                  [path = info[0].As<Napi::String>().Utf8Value(), options](const JobContext&) -> Finish {
                    std::shared_ptr<Module> module = Module::load(path, options);
                    return [module](Napi::Env env) { return wrap(env, module); };
                  });
  });
}

// (path: string, options, call): { args, kwargs } or null
Napi::Value ModuleWrap::sampleInputs(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return promised(env, [&] {
    if (!info[0].IsString()) fail(env, "ERR_INPUT", "sampleInputs needs the path of a model's file.");
    return runJob(env, CallOptions::read(info[2]),
                  [path = info[0].As<Napi::String>().Utf8Value(),
                   options = readLoadOptions(info[1])](const JobContext&) -> Finish {
                    return [inputs = readSampleInputs(path, options)](Napi::Env env) -> Napi::Value {
                      if (!inputs) return env.Null();
                      Napi::Object result = Napi::Object::New(env);
                      Napi::Array args = Napi::Array::New(env, inputs->args.size());
                      for (size_t i = 0; i < inputs->args.size(); ++i)
                        args.Set(static_cast<uint32_t>(i), toJs(env, inputs->args[i]));
                      Napi::Object kwargs = Napi::Object::New(env);
                      for (const auto& [name, item] : inputs->kwargs) kwargs.Set(name, toJs(env, item));
                      result.Set("args", args);
                      result.Set("kwargs", kwargs);
                      return result;
                    };
                  });
  });
}

// (args: unknown[], kwargs: record, call)
Napi::Value ModuleWrap::forward(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return promised(env, [&] {
    Inputs inputs = toInputs(module_->schema().get(), info[0], info[1]);
    return runJob(env, CallOptions::read(info[2]),
                  [module = module_, inputs = std::move(inputs)](const JobContext& context) -> Finish {
                    return [output = module->forward(inputs, context.cancel)](Napi::Env env) {
                      return toJs(env, output);
                    };
                  });
  });
}

Napi::Value ModuleWrap::forwardSchema(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&] { return Napi::String::New(info.Env(), signatureOf(*module_->schema())); });
}

// (path: string, call)
Napi::Value ModuleWrap::save(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return promised(env, [&] {
    if (!info[0].IsString()) fail(env, "ERR_INPUT", "save needs the path of the file to write.");
    return runJob(
        env, CallOptions::read(info[1]),
        [module = module_, path = info[0].As<Napi::String>().Utf8Value()](const JobContext&) -> Finish {
          module->save(path);
          return [](Napi::Env env) { return env.Undefined(); };
        });
  });
}

// (path: string, args: unknown[] or null, kwargs: record, call)
Napi::Value ModuleWrap::saveExported(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return promised(env, [&] {
    if (!info[0].IsString()) fail(env, "ERR_INPUT", "saveExported needs the path of the file to write.");
    std::optional<Inputs> example;
    if (info[1].IsArray()) example = toInputs(module_->schema().get(), info[1], info[2]);
    return runJob(env, CallOptions::read(info[3]),
                  [module = module_, path = info[0].As<Napi::String>().Utf8Value(),
                   example = std::move(example)](const JobContext& context) -> Finish {
                    module->saveExported(path, example, context.cancel);
                    return [](Napi::Env env) { return env.Undefined(); };
                  });
  });
}

// (name: string): string, or null when the module has no such file
Napi::Value ModuleWrap::extraFile(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return guarded(env, [&]() -> Napi::Value {
    if (!info[0].IsString()) fail(env, "ERR_INPUT", "extraFile needs the name of a file.");
    const std::optional<std::string> file = module_->extraFile(info[0].As<Napi::String>());
    if (!file) return env.Null();
    return Napi::String::New(env, *file);
  });
}

// (name: string, text: string)
Napi::Value ModuleWrap::setExtraFile(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return guarded(env, [&] {
    if (!info[0].IsString() || !info[1].IsString()) {
      fail(env, "ERR_INPUT", "setExtraFile needs a name and a text.");
    }
    module_->setExtraFile(info[0].As<Napi::String>(), info[1].As<Napi::String>());
    return env.Undefined();
  });
}

Napi::Value ModuleWrap::list(Napi::Env env, const std::vector<NamedTensor>& tensors) {
  Napi::Array out = Napi::Array::New(env, tensors.size());
  for (size_t i = 0; i < tensors.size(); ++i) {
    Napi::Object item = Napi::Object::New(env);
    item.Set("name", tensors[i].name);
    item.Set("tensor", TensorWrap::wrap(env, tensors[i].tensor, /*owned=*/false));
    out.Set(static_cast<uint32_t>(i), item);
  }
  return out;
}

Napi::Value ModuleWrap::namedParameters(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&] { return list(info.Env(), module_->namedParameters()); });
}

Napi::Value ModuleWrap::namedBuffers(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&] { return list(info.Env(), module_->namedBuffers()); });
}

Napi::Value ModuleWrap::training(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&] { return Napi::Boolean::New(info.Env(), module_->comingMode()); });
}

// (on?: boolean): a promise where other calls are running or waiting, which find the mode as it is
Napi::Value ModuleWrap::train(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return guarded(env, [&]() -> Napi::Value {
    const bool on = info[0].IsUndefined() || info[0].ToBoolean();
    if (ComputeThread::instance().idle()) {
      module_->train(on);
      return env.Undefined();
    }
    auto switching = [module = module_, announced = module_->announceMode(on), on](const JobContext&) {
      module->train(on);
      return finishWithNothing();
    };
    return runJob(env, CallOptions{}, std::move(switching), Patience::kForever);
  });
}

// (device: string, call)
Napi::Value ModuleWrap::to(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return promised(env, [&] {
    if (!info[0].IsString()) fail(env, "ERR_DEVICE", "to needs a device name such as \"cpu\" or \"cuda:0\".");
    return runJob(
        env, CallOptions::read(info[1]),
        [module = module_, device = parseDevice(info[0].As<Napi::String>())](const JobContext&) -> Finish {
          module->to(device);
          return [](Napi::Env env) { return env.Undefined(); };
        });
  });
}

Napi::Value ModuleWrap::methods(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&]() -> Napi::Value { return textArray(info.Env(), module_->methods()); });
}

Napi::Value ModuleWrap::fingerprint(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return promised(env, [&] {
    return runJob(env, CallOptions::read(info[0]), [module = module_](const JobContext&) -> Finish {
      return [print = module->fingerprint()](Napi::Env env) { return Napi::String::New(env, print); };
    });
  });
}

Napi::Value ModuleWrap::bytes(const Napi::CallbackInfo& info) {
  return guarded(info.Env(),
                 [&] { return Napi::Number::New(info.Env(), static_cast<double>(module_->bytes())); });
}

Napi::Value ModuleWrap::device(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&] { return Napi::String::New(info.Env(), module_->device().str()); });
}

Napi::Value ModuleWrap::closed(const Napi::CallbackInfo& info) {
  return Napi::Boolean::New(info.Env(), module_->closed());
}

Napi::Value ModuleWrap::close(const Napi::CallbackInfo& info) {
  module_->close();
  forget(info.Env());
  return info.Env().Undefined();
}

void ModuleWrap::forget(Napi::Env env) {
  if (reported_ != 0) Napi::MemoryManagement::AdjustExternalMemory(env, -reported_);
  reported_ = 0;
}

}  // namespace torchsearch::binding
