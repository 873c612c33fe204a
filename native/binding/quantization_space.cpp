#include "binding/quantization_space.h"

#include <utility>
#include <vector>

#include "binding/ivalue.h"
#include "binding/job.h"
#include "binding/module.h"
#include "binding/names.h"
#include "binding/number_format.h"
#include "binding/output_view.h"
#include "binding/tensor.h"
#include "binding/translate.h"
#include "binding/unwrap.h"
#include "core/quantization/fake_quantize.h"

namespace torchsearch::binding {

namespace {

// { formats: layer formats, groupSharedInputs: boolean }
QuantizationOptions readQuantizationOptions(const Napi::Value& value) {
  QuantizationOptions options;
  const Napi::Value formats = value.IsObject() ? value.As<Napi::Object>().Get("formats") : value;
  if (!formats.IsArray()) fail(value.Env(), "ERR_CONFIG_VALUE", "A conversion needs an array of formats.");
  const Napi::Array list = formats.As<Napi::Array>();
  for (uint32_t i = 0; i < list.Length(); ++i) options.formats.push_back(readLayerFormat(list.Get(i)));
  options.groupSharedInputs = Napi::Value(value.As<Napi::Object>().Get("groupSharedInputs")).ToBoolean();
  return options;
}

Napi::Float64Array float64Array(Napi::Env env, const std::vector<double>& values) {
  Napi::Float64Array out = Napi::Float64Array::New(env, values.size());
  std::copy(values.begin(), values.end(), out.Data());
  return out;
}

// { sums: Float64Array, count }
Finish partResult(SensitivityPart part) {
  return [part = std::move(part)](Napi::Env env) -> Napi::Value {
    Napi::Object out = Napi::Object::New(env);
    out.Set("sums", float64Array(env, part.sums));
    out.Set("count", static_cast<double>(part.count));
    return out;
  };
}

// (tensor, format, axis, call): { values, scale, zeroPoint }
Napi::Value fakeQuantizeCall(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return promised(env, [&] {
    const double axis = info[2].IsNumber() ? info[2].As<Napi::Number>().DoubleValue() : 0;
    return runJob(env, CallOptions::read(info[3]),
                  [tensor = TensorWrap::of(info[0], "tensor"), format = readNumberFormat(info[1]),
                   axis = static_cast<int64_t>(axis)](const JobContext&) -> Finish {
                    const at::NoGradGuard noGrad;
                    const QuantParameters grid = calibrate(tensor, format, axis);
                    return [values = fakeQuantize(tensor, format, grid), grid](Napi::Env env) -> Napi::Value {
                      Napi::Object out = Napi::Object::New(env);
                      out.Set("values", TensorWrap::wrap(env, values));
                      out.Set("scale", TensorWrap::wrap(env, grid.scale));
                      out.Set("zeroPoint",
                              grid.zeroPoint.defined() ? TensorWrap::wrap(env, grid.zeroPoint) : env.Null());
                      return out;
                    };
                  });
  });
}

}  // namespace

void QuantizationSpaceWrap::define(Napi::Env env, Napi::Object exports) {
  using Wrap = QuantizationSpaceWrap;
  defineSpace(env, exports,
              {StaticMethod<&Wrap::convert>("convert"), InstanceMethod<&Wrap::layers>("layers"),
               InstanceMethod<&Wrap::active>("active"), InstanceMethod<&Wrap::select>("select"),
               InstanceMethod<&Wrap::observe>("observe"),
               InstanceMethod<&Wrap::forgetActivations>("forgetActivations"),
               InstanceMethod<&Wrap::activationEnds>("activationEnds"),
               InstanceMethod<&Wrap::setActivationEnds>("setActivationEnds"),
               InstanceMethod<&Wrap::gradients>("gradients"), InstanceMethod<&Wrap::outputs>("outputs"),
               InstanceMethod<&Wrap::exportModule>("exportModule")});
}

// (module: Module, args: unknown[], kwargs: record, options: { formats, groupSharedInputs }, call)
Napi::Value QuantizationSpaceWrap::convert(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return promised(env, [&] {
    const std::shared_ptr<Module> module = ModuleWrap::of(info[0], "module");
    Inputs inputs = toInputs(module->schema().get(), info[1], info[2]);
    return runJob(env, CallOptions::read(info[5]),
                  [module, inputs = std::move(inputs),
                   options = readQuantizationOptions(info[3])](const JobContext& context) -> Finish {
                    std::shared_ptr<QuantizationSpace> space =
                        QuantizationSpace::convert(module, inputs, options, context.cancel);
                    return [space](Napi::Env env) { return wrap(env, space); };
                  });
  });
}

// { name, op, weightShape, axis, elementBytes, group, weight }[]
Napi::Value QuantizationSpaceWrap::layers(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return guarded(env, [&]() -> Napi::Value {
    const auto& all = open(env)->layers();
    Napi::Array out = Napi::Array::New(env, all.size());
    for (uint32_t i = 0; i < all.size(); ++i) {
      Napi::Object item = Napi::Object::New(env);
      item.Set("name", all[i].name);
      item.Set("op", all[i].op);
      Napi::Array shape = Napi::Array::New(env, all[i].weightSizes.size());
      for (uint32_t d = 0; d < all[i].weightSizes.size(); ++d) {
        shape.Set(d, static_cast<double>(all[i].weightSizes[d]));
      }
      item.Set("weightShape", shape);
      item.Set("axis", static_cast<double>(all[i].axis));
      item.Set("elementBytes", static_cast<double>(c10::elementSize(all[i].dtype)));
      item.Set("group", all[i].group);
      item.Set("weight", all[i].weight);
      out.Set(i, item);
    }
    return out;
  });
}

Napi::Value QuantizationSpaceWrap::active(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return guarded(env, [&]() -> Napi::Value {
    const auto formats = open(env)->active();
    Napi::Array out = Napi::Array::New(env, formats.size());
    for (uint32_t i = 0; i < formats.size(); ++i) out.Set(i, static_cast<double>(formats[i]));
    return out;
  });
}

// (formats: Int32Array, by group; -1 for none)
Napi::Value QuantizationSpaceWrap::select(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return guarded(env, [&] {
    if (!info[0].IsTypedArray() || info[0].As<Napi::TypedArray>().TypedArrayType() != napi_int32_array) {
      fail(env, "ERR_CHOICE", "Formats must be an Int32Array.");
    }
    const Napi::Int32Array formats = info[0].As<Napi::Int32Array>();
    open(env)->select({formats.Data(), formats.Data() + formats.ElementLength()});
    return env.Undefined();
  });
}

// (args: unknown[], kwargs: record, call)
Napi::Value QuantizationSpaceWrap::observe(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return promised(env, [&] {
    const std::shared_ptr<QuantizationSpace> space = open(env);
    Inputs inputs = toInputs(space->schema().get(), info[0], info[1]);
    return runJob(env, CallOptions::read(info[2]),
                  [space, inputs = std::move(inputs)](const JobContext& context) -> Finish {
                    space->observe(inputs, context.cancel);
                    return [](Napi::Env env) { return env.Undefined(); };
                  });
  });
}

// (call): also waits for calls before it
Napi::Value QuantizationSpaceWrap::forgetActivations(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return promised(env, [&] {
    return runJob(env, CallOptions::read(info[0]), [space = open(env)](const JobContext&) -> Finish {
      space->forgetActivations();
      return [](Napi::Env env) { return env.Undefined(); };
    });
  });
}

// (call): Float64Array
Napi::Value QuantizationSpaceWrap::activationEnds(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return promised(env, [&] {
    return runJob(env, CallOptions::read(info[0]), [space = open(env)](const JobContext&) -> Finish {
      return
          [ends = space->activationEnds()](Napi::Env env) -> Napi::Value { return float64Array(env, ends); };
    });
  });
}

// (ends: Float64Array, call)
Napi::Value QuantizationSpaceWrap::setActivationEnds(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return promised(env, [&] {
    if (!info[0].IsTypedArray() || info[0].As<Napi::TypedArray>().TypedArrayType() != napi_float64_array) {
      fail(env, "ERR_CONFIG_VALUE", "Ends of activations must be a Float64Array.");
    }
    const Napi::Float64Array given = info[0].As<Napi::Float64Array>();
    std::vector<double> ends(given.Data(), given.Data() + given.ElementLength());
    return runJob(env, CallOptions::read(info[1]),
                  [space = open(env), ends = std::move(ends)](const JobContext&) -> Finish {
                    space->setActivationEnds(ends);
                    return [](Napi::Env env) { return env.Undefined(); };
                  });
  });
}

// (args: unknown[], kwargs: record, target: Tensor, loss: string, view, call): { sums, count }
Napi::Value QuantizationSpaceWrap::gradients(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return promised(env, [&] {
    const std::shared_ptr<QuantizationSpace> space = open(env);
    Inputs inputs = toInputs(space->schema().get(), info[0], info[1]);
    return runJob(env, CallOptions::read(info[5]),
                  [space, inputs = std::move(inputs), target = TensorWrap::of(info[2], "target"),
                   loss = Loss::make(readName(kLosses, info[3]), readOutputView(info[4]))](
                      const JobContext& context) -> Finish {
                    return partResult(space->gradients(inputs, target, *loss, context.cancel));
                  });
  });
}

// (args: unknown[], kwargs: record, group: number, measure: string, view, call): { sums, count }
Napi::Value QuantizationSpaceWrap::outputs(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return promised(env, [&] {
    const std::shared_ptr<QuantizationSpace> space = open(env);
    Inputs inputs = toInputs(space->schema().get(), info[0], info[1]);
    const int32_t group = info[2].IsNumber() ? info[2].As<Napi::Number>().Int32Value() : -1;
    return runJob(env, CallOptions::read(info[5]),
                  [space, inputs = std::move(inputs), group, measure = readName(kScores, info[3]),
                   view = readOutputView(info[4])](const JobContext& context) -> Finish {
                    return partResult(space->outputs(inputs, group, measure, view, context.cancel));
                  });
  });
}

// (call): Module
Napi::Value QuantizationSpaceWrap::exportModule(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return promised(env, [&] {
    return runJob(env, CallOptions::read(info[0]), [space = open(env)](const JobContext&) -> Finish {
      std::shared_ptr<Module> exported = space->exportModule();
      return [exported](Napi::Env env) { return ModuleWrap::wrap(env, exported); };
    });
  });
}

void defineQuantization(Napi::Env env, Napi::Object exports) {
  QuantizationSpaceWrap::define(env, exports);
  exports.Set("fakeQuantize", Napi::Function::New<fakeQuantizeCall>(env, "fakeQuantize"));
}

}  // namespace torchsearch::binding
