#include "binding/sparse_space.h"

#include <cmath>
#include <utility>
#include <vector>

#include "binding/ivalue.h"
#include "binding/job.h"
#include "binding/module.h"
#include "binding/numbers.h"
#include "binding/tensor.h"
#include "binding/translate.h"
#include "binding/unwrap.h"

namespace torchsearch::binding {

namespace {

int64_t readCount(const Napi::Value& value, const char* what) {
  const double given = value.IsNumber() ? value.As<Napi::Number>().DoubleValue() : std::nan("");
  if (!(given >= 0 && given <= 9007199254740991) || given != std::floor(given)) {
    fail(value.Env(), "ERR_CONFIG_VALUE", std::string(what) + " must be a whole number of at least 0.");
  }
  return static_cast<int64_t>(given);
}

int32_t readLayer(const Napi::Value& value, const SparseSpace& space) {
  const int64_t layer = readCount(value, "layer");
  if (layer >= static_cast<int64_t>(space.layers().size())) {
    fail(value.Env(), "ERR_INPUT", "There is no layer " + std::to_string(layer) + ".");
  }
  return static_cast<int32_t>(layer);
}

std::vector<int32_t> readLayers(const Napi::Value& value, const SparseSpace& space) {
  if (!value.IsArray()) fail(value.Env(), "ERR_INPUT", "layers must be an array of numbers.");
  const Napi::Array array = value.As<Napi::Array>();
  std::vector<int32_t> layers;
  for (uint32_t i = 0; i < array.Length(); ++i) layers.push_back(readLayer(array.Get(i), space));
  return layers;
}

// { n, m } or { keep }
SparsityPlan readPlan(const Napi::Value& value) {
  SparsityPlan plan;
  if (!value.IsObject()) fail(value.Env(), "ERR_INPUT", "plan must be { n, m } or { keep }.");
  const Napi::Object object = value.As<Napi::Object>();
  if (const Napi::Value keep = object.Get("keep"); !keep.IsUndefined()) {
    plan.keep = readCount(keep, "keep");
  } else {
    plan.n = readCount(object.Get("n"), "n");
    plan.m = readCount(object.Get("m"), "m");
    if (plan.m < 1) fail(value.Env(), "ERR_CONFIG_VALUE", "m must be a whole number of at least 1.");
  }
  return plan;
}

bool readFlag(const Napi::Value& options, const char* name) {
  if (!options.IsObject()) return false;
  const Napi::Value value = options.As<Napi::Object>().Get(name);
  return value.IsBoolean() && value.As<Napi::Boolean>();
}

SparseGptOptions readGptOptions(const Napi::Value& value) {
  SparseGptOptions options;
  if (!value.IsObject()) return options;
  const Napi::Object object = value.As<Napi::Object>();
  if (const Napi::Value size = object.Get("blockSize"); size.IsNumber()) {
    options.blockSize = std::max<int64_t>(1, readCount(size, "blockSize"));
  }
  if (const Napi::Value damping = object.Get("damping"); damping.IsNumber()) {
    options.damping = damping.As<Napi::Number>().DoubleValue();
  }
  return options;
}

Finish outcomeOf(const SparseOutcome& outcome) {
  return [outcome](Napi::Env env) -> Napi::Value {
    Napi::Object out = Napi::Object::New(env);
    out.Set("kept", static_cast<double>(outcome.kept));
    out.Set("error", outcome.error ? Napi::Value(Napi::Number::New(env, *outcome.error)) : env.Null());
    out.Set("dead", static_cast<double>(outcome.dead));
    return out;
  };
}

}  // namespace

void SparseSpaceWrap::define(Napi::Env env, Napi::Object exports) {
  using Wrap = SparseSpaceWrap;
  defineSpace(
      env, exports,
      {StaticMethod<&Wrap::convert>("convert"), InstanceMethod<&Wrap::layers>("layers"),
       InstanceMethod<&Wrap::denseParameters>("denseParameters"), InstanceMethod<&Wrap::collect>("collect"),
       InstanceMethod<&Wrap::stopCollecting>("stopCollecting"),
       InstanceMethod<&Wrap::globalCounts>("globalCounts"), InstanceMethod<&Wrap::magnitude>("magnitude"),
       InstanceMethod<&Wrap::sparseGpt>("sparseGpt"), InstanceMethod<&Wrap::makeDense>("makeDense"),
       InstanceMethod<&Wrap::reset>("reset"), InstanceMethod<&Wrap::layerTensors>("layerTensors"),
       InstanceMethod<&Wrap::restore>("restore"), InstanceMethod<&Wrap::exportModule>("exportModule")});
}

// (module: Module, args: unknown[], kwargs: record, call)
Napi::Value SparseSpaceWrap::convert(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return promised(env, [&] {
    const std::shared_ptr<Module> module = ModuleWrap::of(info[0], "module");
    Inputs inputs = toInputs(module->schema().get(), info[1], info[2]);
    return runJob(env, CallOptions::read(info[3]),
                  [module, inputs = std::move(inputs)](const JobContext& context) -> Finish {
                    std::shared_ptr<SparseSpace> space = SparseSpace::convert(module, inputs, context.cancel);
                    return [space](Napi::Env env) { return wrap(env, space); };
                  });
  });
}

Napi::Value SparseSpaceWrap::layers(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return guarded(env, [&]() -> Napi::Value {
    Napi::Array out = Napi::Array::New(env);
    for (const SparseLayer& layer : open(env)->layers()) {
      Napi::Object item = Napi::Object::New(env);
      item.Set("parameter", layer.parameter);
      item.Set("kind", layer.matrix.kind == WeightMatrix::Kind::kConvolution ? "convolution" : "linear");
      item.Set("shape", numberArray(env, layer.shape));
      item.Set("groups", static_cast<double>(layer.matrix.groups));
      item.Set("elements", static_cast<double>(layer.elements));
      item.Set("runLength", static_cast<double>(layer.runLength));
      item.Set("macs", static_cast<double>(layer.macs));
      item.Set("productBytes", static_cast<double>(layer.productBytes));
      out.Set(out.Length(), item);
    }
    return out;
  });
}

Napi::Value SparseSpaceWrap::denseParameters(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return guarded(env, [&]() -> Napi::Value {
    Napi::Array out = Napi::Array::New(env);
    for (const DenseParameter& parameter : open(env)->denseParameters()) {
      Napi::Object item = Napi::Object::New(env);
      item.Set("parameter", parameter.parameter);
      item.Set("reason", parameter.reason);
      out.Set(out.Length(), item);
    }
    return out;
  });
}

// (layers: number[], { sequential?, stopEarly? }, call)
Napi::Value SparseSpaceWrap::collect(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return promised(env, [&] {
    const std::shared_ptr<SparseSpace> space = open(env);
    SparseSpace::Collection collection{readLayers(info[0], *space), readFlag(info[1], "sequential"),
                                       readFlag(info[1], "stopEarly")};
    return runJob(env, CallOptions::read(info[2]), [space, collection](const JobContext&) -> Finish {
      space->collect(collection);
      return finishWithNothing();
    });
  });
}

// (call)
Napi::Value SparseSpaceWrap::stopCollecting(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return promised(env, [&] {
    return runJob(env, CallOptions::read(info[0]), [space = open(env)](const JobContext&) -> Finish {
      space->stopCollecting();
      return finishWithNothing();
    });
  });
}

// (layers: number[], keep: number, call): number[]
Napi::Value SparseSpaceWrap::globalCounts(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return promised(env, [&] {
    const std::shared_ptr<SparseSpace> space = open(env);
    return runJob(env, CallOptions::read(info[2]),
                  [space, layers = readLayers(info[0], *space),
                   keep = readCount(info[1], "keep")](const JobContext&) -> Finish {
                    return [counts = space->globalCounts(layers, keep)](Napi::Env env) {
                      return numberArray(env, counts);
                    };
                  });
  });
}

// (layer: number, plan, { forget? }, call): { kept, error, dead }
Napi::Value SparseSpaceWrap::magnitude(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return promised(env, [&] {
    const std::shared_ptr<SparseSpace> space = open(env);
    return runJob(env, CallOptions::read(info[3]),
                  [space, layer = readLayer(info[0], *space), plan = readPlan(info[1]),
                   forget = readFlag(info[2], "forget")](const JobContext&) -> Finish {
                    return outcomeOf(space->magnitude(layer, plan, forget));
                  });
  });
}

// (layer: number, plan, { blockSize?, damping?, forget? }, call): { kept, error, dead }
Napi::Value SparseSpaceWrap::sparseGpt(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return promised(env, [&] {
    const std::shared_ptr<SparseSpace> space = open(env);
    return runJob(env, CallOptions::read(info[3]),
                  [space, layer = readLayer(info[0], *space), plan = readPlan(info[1]),
                   options = readGptOptions(info[2]),
                   forget = readFlag(info[2], "forget")](const JobContext& context) -> Finish {
                    return outcomeOf(space->sparseGpt(layer, plan, options, forget, context.cancel));
                  });
  });
}

// (layer: number, call)
Napi::Value SparseSpaceWrap::makeDense(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return promised(env, [&] {
    const std::shared_ptr<SparseSpace> space = open(env);
    return runJob(env, CallOptions::read(info[1]),
                  [space, layer = readLayer(info[0], *space)](const JobContext&) -> Finish {
                    space->makeDense(layer);
                    return finishWithNothing();
                  });
  });
}

// (call)
Napi::Value SparseSpaceWrap::reset(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return promised(env, [&] {
    return runJob(env, CallOptions::read(info[0]), [space = open(env)](const JobContext&) -> Finish {
      space->reset();
      return finishWithNothing();
    });
  });
}

// (layer: number, call): { weight: Tensor, mask: Tensor | null }
Napi::Value SparseSpaceWrap::layerTensors(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return promised(env, [&] {
    const std::shared_ptr<SparseSpace> space = open(env);
    return runJob(
        env, CallOptions::read(info[1]),
        [space, layer = readLayer(info[0], *space)](const JobContext&) -> Finish {
          return [weight = space->weight(layer), mask = space->mask(layer)](Napi::Env env) -> Napi::Value {
            Napi::Object out = Napi::Object::New(env);
            out.Set("weight", TensorWrap::wrap(env, weight, /*owned=*/true));
            out.Set("mask", mask.defined() ? TensorWrap::wrap(env, mask, /*owned=*/true) : env.Null());
            return out;
          };
        });
  });
}

// (layer: number, weight: Tensor, mask: Tensor, call)
Napi::Value SparseSpaceWrap::restore(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return promised(env, [&] {
    const std::shared_ptr<SparseSpace> space = open(env);
    return runJob(env, CallOptions::read(info[3]),
                  [space, layer = readLayer(info[0], *space), weight = TensorWrap::of(info[1], "weight"),
                   mask = TensorWrap::of(info[2], "mask")](const JobContext&) -> Finish {
                    space->restore(layer, weight, mask);
                    return finishWithNothing();
                  });
  });
}

// (masks: boolean, call): Module
Napi::Value SparseSpaceWrap::exportModule(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return promised(env, [&] {
    const bool masks = info[0].ToBoolean();
    return runJob(env, CallOptions::read(info[1]), [space = open(env), masks](const JobContext&) -> Finish {
      std::shared_ptr<Module> module = space->exportModule(masks);
      return [module](Napi::Env env) { return ModuleWrap::wrap(env, module); };
    });
  });
}

}  // namespace torchsearch::binding
