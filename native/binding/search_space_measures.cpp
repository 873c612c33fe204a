// The part of the search space's handle that learns from data: ranks of channels, weights of subnets.
#include "binding/dataset.h"
#include "binding/evaluate.h"
#include "binding/importance.h"
#include "binding/ivalue.h"
#include "binding/job.h"
#include "binding/measure.h"
#include "binding/reconstruction.h"
#include "binding/search_space.h"
#include "binding/tensor.h"
#include "binding/translate.h"
#include "binding/unwrap.h"

namespace torchsearch::binding {

// (measure, args: unknown[], kwargs: record, target: Tensor | null, call)
Napi::Value SearchSpaceWrap::measure(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return promised(env, [&] {
    const std::shared_ptr<SearchSpace> space = open(env);
    Inputs inputs = toInputs(space->schema().get(), info[1], info[2]);
    const bool hasTarget = !info[3].IsNull() && !info[3].IsUndefined();
    const at::Tensor target = hasTarget ? TensorWrap::of(info[3], "target") : at::Tensor();
    return runJob(env, CallOptions::read(info[4]),
                  [space, target, inputs = std::move(inputs),
                   measure = measureOf(info[0])](const JobContext& context) -> Finish {
                    space->measure(*measure, inputs, target, context.cancel);
                    return [](Napi::Env env) { return env.Undefined(); };
                  });
  });
}

// (measure, dataset, { inputs, target?, maxBatches? }, call): { samples, batches, seconds }
Napi::Value SearchSpaceWrap::measureAll(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return promised(env, [&] {
    return runJob(env, CallOptions::read(info[3]),
                  [space = open(env), measure = measureOf(info[0]),
                   dataset = unwrap<DatasetWrap>(info[1], "dataset").dataset(),
                   options = readLoopOptions(info[2])](const JobContext& context) mutable -> Finish {
                    options.device = space->device();
                    const auto step = [&](const Inputs& inputs, const at::Tensor& target) {
                      space->measure(*measure, inputs, target, context.cancel);
                    };
                    return loopResult(forEachBatch(*dataset, options, step, context.cancel, context.progress),
                                      /*scored=*/false);
                  });
  });
}

// (): string[], by hyperparameter; "" for one that counts no channels
Napi::Value SearchSpaceWrap::structures(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return guarded(env, [&]() -> Napi::Value { return textArray(env, open(env)->structures()); });
}

// (importance, absolute: boolean, call): number[][], by hyperparameter; none for one that counts no channels
Napi::Value SearchSpaceWrap::scores(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return promised(env, [&] {
    return runJob(env, CallOptions::read(info[2]),
                  [space = open(env), importance = ImportanceWrap::of(info[0]),
                   absolute = info[1].ToBoolean().Value()](const JobContext&) -> Finish {
                    return [space, scores = absolute ? space->absoluteScores(*importance)
                                                     : space->scores(*importance)](Napi::Env env) {
                      Napi::Array out = Napi::Array::New(env);
                      for (const auto& hyperparameter : space->hyperparameters()) {
                        const auto values = hyperparameter.group == kNoGroup
                                                ? std::vector<double>()
                                                : scores.at(hyperparameter.group);
                        Napi::Array item = Napi::Array::New(env, values.size());
                        for (uint32_t i = 0; i < values.size(); ++i) item.Set(i, values[i]);
                        out.Set(out.Length(), item);
                      }
                      return out;
                    };
                  });
  });
}

// (importance, call): string
Napi::Value SearchSpaceWrap::reorder(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return promised(env, [&] {
    return runJob(env, CallOptions::read(info[1]),
                  [space = open(env), importance = ImportanceWrap::of(info[0])](const JobContext&) -> Finish {
                    return [digest = space->reorder(*importance)](Napi::Env env) {
                      return Napi::String::New(env, digest);
                    };
                  });
  });
}

// (call)
Napi::Value SearchSpaceWrap::restoreOrder(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return promised(env, [&] {
    return runJob(env, CallOptions::read(info[0]), [space = open(env)](const JobContext&) -> Finish {
      space->restoreOrder();
      return [](Napi::Env env) { return env.Undefined(); };
    });
  });
}

// (reconstruction, call)
Napi::Value SearchSpaceWrap::findNarrowedLayers(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return promised(env, [&] {
    return runJob(env, CallOptions::read(info[1]),
                  [space = open(env),
                   reconstruction = ReconstructionWrap::of(info[0])](const JobContext& context) -> Finish {
                    space->findNarrowedLayers(*reconstruction, context.cancel);
                    return [](Napi::Env env) { return env.Undefined(); };
                  });
  });
}

// (reconstruction, damping: number, call): { parameter, before, after }[]
Napi::Value SearchSpaceWrap::reconstruct(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return promised(env, [&] {
    return runJob(env, CallOptions::read(info[2]),
                  [space = open(env), reconstruction = ReconstructionWrap::of(info[0]),
                   damping = info[1].ToNumber().DoubleValue()](const JobContext& context) -> Finish {
                    return [layers = space->reconstruct(*reconstruction, damping, context.cancel)](
                               Napi::Env env) -> Napi::Value {
                      Napi::Array out = Napi::Array::New(env);
                      for (const auto& layer : layers) {
                        Napi::Object item = Napi::Object::New(env);
                        item.Set("parameter", layer.weight);
                        item.Set("before", layer.before);
                        item.Set("after", layer.after);
                        out.Set(out.Length(), item);
                      }
                      return out;
                    };
                  });
  });
}

}  // namespace torchsearch::binding
