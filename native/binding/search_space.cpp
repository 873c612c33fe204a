#include "binding/search_space.h"

#include <cmath>
#include <utility>
#include <vector>

#include "binding/env_data.h"
#include "binding/ivalue.h"
#include "binding/job.h"
#include "binding/latency_table.h"
#include "binding/module.h"
#include "binding/names.h"
#include "binding/numbers.h"
#include "binding/translate.h"
#include "binding/unwrap.h"
#include "binding/widths.h"

namespace torchsearch::binding {

using SearchSpaceSeed = std::shared_ptr<SearchSpace>;

namespace {

// { channelDivisor?: number, depth?: boolean }
SpaceOptions readSpaceOptions(const Napi::Value& value) {
  SpaceOptions options;
  if (!value.IsObject()) return options;
  const Napi::Object object = value.As<Napi::Object>();
  if (const Napi::Value divisor = object.Get("channelDivisor"); !divisor.IsUndefined()) {
    const double given = divisor.IsNumber() ? divisor.As<Napi::Number>().DoubleValue() : 0;
    if (!(given >= 1 && given <= 2147483647) || given != std::floor(given)) {
      fail(value.Env(), "ERR_CONFIG_VALUE", "channelDivisor must be a whole number of at least 1.");
    }
    options.channelDivisor = static_cast<int64_t>(given);
  }
  if (const Napi::Value depth = object.Get("depth"); !depth.IsUndefined()) {
    if (!depth.IsBoolean()) fail(value.Env(), "ERR_CONFIG_VALUE", "depth must be true or false.");
    options.depth = depth.As<Napi::Boolean>();
  }
  return options;
}

}  // namespace

void SearchSpaceWrap::define(Napi::Env env, Napi::Object exports) {
  const Napi::Function constructor =
      DefineClass(env, kName,
                  {StaticMethod<&SearchSpaceWrap::convert>("convert"),
                   InstanceMethod<&SearchSpaceWrap::hyperparameters>("hyperparameters"),
                   InstanceMethod<&SearchSpaceWrap::unprunable>("unprunable"),
                   InstanceMethod<&SearchSpaceWrap::constants>("constants"),
                   InstanceMethod<&SearchSpaceWrap::addTensors>("addTensors"),
                   InstanceMethod<&SearchSpaceWrap::addNumbers>("addNumbers"),
                   InstanceMethod<&SearchSpaceWrap::active>("active"),
                   InstanceMethod<&SearchSpaceWrap::select>("select"),
                   InstanceMethod<&SearchSpaceWrap::cost>("cost"),
                   InstanceMethod<&SearchSpaceWrap::forward>("forward"),
                   InstanceMethod<&SearchSpaceWrap::recalibrate>("recalibrate"),
                   InstanceMethod<&SearchSpaceWrap::reuseActivations>("reuseActivations"),
                   InstanceMethod<&SearchSpaceWrap::expect>("expect"),
                   InstanceMethod<&SearchSpaceWrap::reuse>("reuse"),
                   InstanceMethod<&SearchSpaceWrap::measureLatency>("measureLatency"),
                   InstanceMethod<&SearchSpaceWrap::timeSubnets>("timeSubnets"),
                   InstanceMethod<&SearchSpaceWrap::useLatencyTable>("useLatencyTable"),
                   InstanceMethod<&SearchSpaceWrap::exportSubnet>("exportSubnet"),
                   InstanceMethod<&SearchSpaceWrap::measure>("measure"),
                   InstanceMethod<&SearchSpaceWrap::measureAll>("measureAll"),
                   InstanceMethod<&SearchSpaceWrap::scores>("scores"),
                   InstanceMethod<&SearchSpaceWrap::reorder>("reorder"),
                   InstanceMethod<&SearchSpaceWrap::module>("module"),
                   InstanceAccessor<&SearchSpaceWrap::device>("device"),
                   InstanceAccessor<&SearchSpaceWrap::closed>("closed"),
                   InstanceMethod<&SearchSpaceWrap::close>("close")});
  EnvData& data = EnvData::of(env);
  data.searchSpace = Napi::Persistent(constructor);
  data.forwardables.push_back([](const Napi::Object& value) -> std::shared_ptr<Forwardable> {
    const SearchSpaceWrap* wrap = tryUnwrap<SearchSpaceWrap>(value);
    return wrap == nullptr ? nullptr : wrap->open(value.Env());
  });
  exports.Set(kName, constructor);
}

SearchSpaceWrap::SearchSpaceWrap(const Napi::CallbackInfo& info) : ObjectWrap(info) {
  if (!info[0].IsExternal()) fail(info.Env(), "ERR_INPUT", "Make search spaces with SearchSpace.convert.");
  space_ = *info[0].As<Napi::External<SearchSpaceSeed>>().Data();
  info.This().As<Napi::Object>().TypeTag(&kTag);
}

Napi::Value SearchSpaceWrap::wrap(Napi::Env env, std::shared_ptr<SearchSpace> space) {
  return EnvData::of(env).searchSpace.New({Napi::External<SearchSpaceSeed>::New(env, &space)});
}

const std::shared_ptr<SearchSpace>& SearchSpaceWrap::open(Napi::Env env) const {
  if (isClosed()) {
    fail(env, "ERR_CLOSED", "This search space, or its module, is closed; convert a module again.");
  }
  return space_;
}

// (module: Module, args: unknown[], kwargs: record, options: { channelDivisor?, depth? }, call)
Napi::Value SearchSpaceWrap::convert(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return promised(env, [&] {
    const std::shared_ptr<Module> module = ModuleWrap::of(info[0], "module");
    Inputs inputs = toInputs(module->schema().get(), info[1], info[2]);
    return runJob(env, CallOptions::read(info[4]),
                  [module, inputs = std::move(inputs),
                   options = readSpaceOptions(info[3])](const JobContext& context) -> Finish {
                    std::shared_ptr<SearchSpace> space =
                        SearchSpace::convert(module, inputs, options, context.cancel, context.progress);
                    return [space](Napi::Env env) { return wrap(env, space); };
                  });
  });
}

Napi::Value SearchSpaceWrap::hyperparameters(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return guarded(env, [&]() -> Napi::Value {
    const std::vector<Hyperparameter>& all = open(env)->hyperparameters();
    Napi::Array out = Napi::Array::New(env, all.size());
    for (size_t i = 0; i < all.size(); ++i) {
      Napi::Object item = Napi::Object::New(env);
      item.Set("name", all[i].name);
      item.Set("kind", nameOf(kHyperparameterKinds, all[i].kind));
      item.Set("choices", numberArray(env, all[i].choices));
      item.Set("full", static_cast<double>(all[i].full));
      item.Set("begins", all[i].begins);
      out.Set(static_cast<uint32_t>(i), item);
    }
    return out;
  });
}

Napi::Value SearchSpaceWrap::unprunable(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return guarded(env, [&]() -> Napi::Value {
    const std::vector<Unprunable>& all = open(env)->unprunable();
    Napi::Array out = Napi::Array::New(env, all.size());
    for (size_t i = 0; i < all.size(); ++i) {
      Napi::Object item = Napi::Object::New(env);
      item.Set("parameter", all[i].parameter);
      item.Set("dimension", all[i].dimension);
      item.Set("reason", all[i].reason);
      out.Set(static_cast<uint32_t>(i), item);
    }
    return out;
  });
}

Napi::Value SearchSpaceWrap::active(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return guarded(env, [&]() -> Napi::Value { return numberArray(env, open(env)->active()); });
}

// (widths: number[] | Int32Array)
Napi::Value SearchSpaceWrap::select(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return guarded(env, [&] {
    open(env)->select(readWidths(info[0]));
    reportMemory(env);
    return env.Undefined();
  });
}

// (widths: number[] | Int32Array, metric: string): number
Napi::Value SearchSpaceWrap::cost(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return guarded(env, [&] {
    return Napi::Number::New(env, open(env)->cost(readWidths(info[0]), readName(kMetrics, info[1])));
  });
}

// (args: unknown[], kwargs: record, call)
Napi::Value SearchSpaceWrap::forward(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return promised(env, [&] {
    const std::shared_ptr<SearchSpace> space = open(env);
    Inputs inputs = toInputs(space->schema().get(), info[0], info[1]);
    return runJob(env, CallOptions::read(info[2]),
                  [space, inputs = std::move(inputs)](const JobContext& context) -> Finish {
                    return [output = space->forward(inputs, context.cancel)](Napi::Env env) {
                      return toJs(env, output);
                    };
                  });
  });
}

// (on: boolean)
Napi::Value SearchSpaceWrap::recalibrate(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return guarded(env, [&] {
    open(env)->recalibrate(info[0].IsUndefined() || info[0].ToBoolean());
    return env.Undefined();
  });
}

// (known: operators, options: { points, warmup, repeats, threads }, call): { operators, threads }
Napi::Value SearchSpaceWrap::measureLatency(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return promised(env, [&] {
    const std::shared_ptr<SearchSpace> space = open(env);
    const Napi::Value given = info[1].IsObject() ? info[1].As<Napi::Object>().Get("points") : env.Undefined();
    const int32_t points = given.IsNumber() ? given.As<Napi::Number>().Int32Value() : 4;
    return runJob(env, CallOptions::read(info[2]),
                  [space, points, known = readLatencyTable(info[0]),
                   options = readLatencyOptions(info[1])](const JobContext& context) -> Finish {
                    auto measured = std::make_shared<const LatencyTable>(
                        space->measureLatency(known, points, options, context.cancel, context.progress));
                    const int32_t threads = threadsOf(options);
                    return [measured, threads](Napi::Env env) -> Napi::Value {
                      Napi::Object out = Napi::Object::New(env);
                      out.Set("operators", toJs(env, *measured));
                      out.Set("threads", threads);
                      return out;
                    };
                  });
  });
}

// (subnets: widths[], options: { warmup, repeats, threads }, call): milliseconds
Napi::Value SearchSpaceWrap::timeSubnets(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return promised(env, [&] {
    const std::shared_ptr<SearchSpace> space = open(env);
    if (!info[0].IsArray()) fail(env, "ERR_CHOICE", "timeSubnets needs an array of widths.");
    std::vector<std::vector<int64_t>> subnets;
    const Napi::Array list = info[0].As<Napi::Array>();
    for (uint32_t i = 0; i < list.Length(); ++i) subnets.push_back(readWidths(list.Get(i)));
    return runJob(env, CallOptions::read(info[2]),
                  [space, subnets = std::move(subnets),
                   options = readLatencyOptions(info[1])](const JobContext& context) -> Finish {
                    auto times = space->timeSubnets(subnets, options, context.cancel, context.progress);
                    return [times = std::move(times)](Napi::Env env) -> Napi::Value {
                      Napi::Array out = Napi::Array::New(env, times.size());
                      for (uint32_t i = 0; i < times.size(); ++i) out.Set(i, times[i]);
                      return out;
                    };
                  });
  });
}

// (operators or null)
Napi::Value SearchSpaceWrap::useLatencyTable(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return guarded(env, [&] {
    const std::shared_ptr<SearchSpace>& space = open(env);
    if (info[0].IsNull() || info[0].IsUndefined()) {
      space->useLatencyTable(nullptr);
    } else {
      const LatencyTable table = readLatencyTable(info[0]);
      space->useLatencyTable(&table);
    }
    return env.Undefined();
  });
}

// (call): Module
Napi::Value SearchSpaceWrap::exportSubnet(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return promised(env, [&] {
    return runJob(env, CallOptions::read(info[0]), [space = open(env)](const JobContext&) -> Finish {
      std::shared_ptr<Module> subnet = space->exportSubnet();
      return [subnet](Napi::Env env) { return ModuleWrap::wrap(env, subnet); };
    });
  });
}

// A handle of its own.
Napi::Value SearchSpaceWrap::module(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return guarded(env, [&]() -> Napi::Value { return ModuleWrap::wrap(env, open(env)->module()); });
}

Napi::Value SearchSpaceWrap::device(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return guarded(env, [&] { return Napi::String::New(env, open(env)->device().str()); });
}

Napi::Value SearchSpaceWrap::closed(const Napi::CallbackInfo& info) {
  return Napi::Boolean::New(info.Env(), isClosed());
}

// The module stays open. A running job keeps the space until it ends.
Napi::Value SearchSpaceWrap::close(const Napi::CallbackInfo& info) {
  space_.reset();
  reportMemory(info.Env());
  return info.Env().Undefined();
}

}  // namespace torchsearch::binding
