#include "binding/search_space.h"

#include <cmath>
#include <utility>
#include <vector>

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
  using Wrap = SearchSpaceWrap;
  defineSpace(env, exports,
              {StaticMethod<&Wrap::convert>("convert"),
               InstanceMethod<&Wrap::hyperparameters>("hyperparameters"),
               InstanceMethod<&Wrap::unprunable>("unprunable"),
               InstanceMethod<&Wrap::exportLosses>("exportLosses"),
               InstanceMethod<&Wrap::ownMethods>("ownMethods"),
               InstanceMethod<&Wrap::constants>("constants"),
               InstanceMethod<&Wrap::addTensors>("addTensors"),
               InstanceMethod<&Wrap::addNumbers>("addNumbers"),
               InstanceMethod<&Wrap::active>("active"),
               InstanceMethod<&Wrap::select>("select"),
               InstanceMethod<&Wrap::cost>("cost"),
               InstanceMethod<&Wrap::recalibrate>("recalibrate"),
               InstanceMethod<&Wrap::reuseActivations>("reuseActivations"),
               InstanceMethod<&Wrap::expect>("expect"),
               InstanceMethod<&Wrap::reuse>("reuse"),
               InstanceMethod<&Wrap::measureLatency>("measureLatency"),
               InstanceMethod<&Wrap::timeSubnets>("timeSubnets"),
               InstanceMethod<&Wrap::useLatencyTable>("useLatencyTable"),
               InstanceMethod<&Wrap::exportSubnet>("exportSubnet"),
               InstanceMethod<&Wrap::recipe>("recipe"),
               InstanceMethod<&Wrap::measure>("measure"),
               InstanceMethod<&Wrap::measureAll>("measureAll"),
               InstanceMethod<&Wrap::structures>("structures"),
               InstanceMethod<&Wrap::scores>("scores"),
               InstanceMethod<&Wrap::reorder>("reorder"),
               InstanceMethod<&Wrap::restoreOrder>("restoreOrder"),
               InstanceMethod<&Wrap::findNarrowedLayers>("findNarrowedLayers"),
               InstanceMethod<&Wrap::reconstruct>("reconstruct"),
               InstanceMethod<&Wrap::module>("module")});
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
      item.Set("channels", static_cast<double>(all[i].channels));
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

Napi::Value SearchSpaceWrap::exportLosses(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return guarded(env, [&]() -> Napi::Value { return textArray(env, open(env)->exportLosses()); });
}

Napi::Value SearchSpaceWrap::ownMethods(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return guarded(env, [&]() -> Napi::Value { return textArray(env, open(env)->ownMethods()); });
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

}  // namespace torchsearch::binding
