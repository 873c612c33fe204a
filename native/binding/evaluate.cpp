#include "binding/evaluate.h"

#include "binding/dataset.h"
#include "binding/env_data.h"
#include "binding/ivalue.h"
#include "binding/score.h"
#include "binding/tensor.h"
#include "binding/translate.h"
#include "binding/unwrap.h"
#include "core/evaluation/early_stopping.h"
#include "core/evaluation/evaluate.h"

namespace torchsearch::binding {
LoopOptions readLoopOptions(const Napi::Value& value) {
  LoopOptions options;
  if (!value.IsObject()) return options;
  const Napi::Object object = value.As<Napi::Object>();
  if (const Napi::Value inputs = object.Get("inputs"); inputs.IsArray()) {
    options.inputs.clear();
    const Napi::Array indices = inputs.As<Napi::Array>();
    for (uint32_t i = 0; i < indices.Length(); ++i) {
      options.inputs.push_back(Napi::Value(indices.Get(i)).ToNumber().Int64Value());
    }
  }
  if (const Napi::Value target = object.Get("target"); target.IsNumber()) {
    options.target = target.As<Napi::Number>().Int64Value();
  }
  if (const Napi::Value teacher = object.Get("teacher"); teacher.IsObject()) {
    options.teacher = forwardableOf(teacher, "teacher");
  }
  if (const Napi::Value most = object.Get("maxBatches"); most.IsNumber()) {
    options.maxBatches = most.As<Napi::Number>().Int64Value();
  }
  if (const Napi::Value stop = object.Get("stop"); stop.IsObject()) options.stop = readStopRule(stop);
  return options;
}

Finish loopResult(const LoopResult& result, bool scored) {
  return [result, scored](Napi::Env env) -> Napi::Value {
    Napi::Object out = Napi::Object::New(env);
    if (scored) out.Set("value", result.value);
    if (result.bound) out.Set("bound", *result.bound);
    out.Set("samples", static_cast<double>(result.samples));
    out.Set("batches", static_cast<double>(result.batches));
    out.Set("seconds", result.seconds);
    return out;
  };
}

namespace {

// (model, dataset, score, { inputs, target, teacher?, maxBatches? }, call)
Napi::Value evaluateCall(const Napi::CallbackInfo& info) {
  return promised(info.Env(), [&] {
    return runJob(
        info.Env(), CallOptions::read(info[4]),
        [model = forwardableOf(info[0], "model"), dataset = unwrap<DatasetWrap>(info[1], "dataset").dataset(),
         score = unwrap<ScoreWrap>(info[2], "score").score(),
         options = readLoopOptions(info[3])](const JobContext& context) -> Finish {
          return loopResult(evaluate(*model, *dataset, *score, options, context.cancel, context.progress),
                            true);
        });
  });
}

// (model, dataset, { inputs, maxBatches? }, call)
Napi::Value forwardAllCall(const Napi::CallbackInfo& info) {
  return promised(info.Env(), [&] {
    return runJob(
        info.Env(), CallOptions::read(info[3]),
        [model = forwardableOf(info[0], "model"), dataset = unwrap<DatasetWrap>(info[1], "dataset").dataset(),
         options = readLoopOptions(info[2])](const JobContext& context) -> Finish {
          return loopResult(forwardAll(*model, *dataset, options, context.cancel, context.progress), false);
        });
  });
}

// (model, args: unknown[], kwargs, target: Tensor | null, score, { teacher? }, call)
Napi::Value scoreBatchCall(const Napi::CallbackInfo& info) {
  return promised(info.Env(), [&] {
    const std::shared_ptr<Forwardable> model = forwardableOf(info[0], "model");
    Inputs inputs = toInputs(model->schema().get(), info[1], info[2]);
    const bool hasTarget = !info[3].IsNull() && !info[3].IsUndefined();
    const at::Tensor target = hasTarget ? TensorWrap::of(info[3], "target") : at::Tensor();
    return runJob(
        info.Env(), CallOptions::read(info[6]),
        [model, target, inputs = std::move(inputs), score = unwrap<ScoreWrap>(info[4], "score").score(),
         teacher = readLoopOptions(info[5]).teacher](const JobContext& context) -> Finish {
          scoreBatch(*model, inputs, target, *score, teacher.get(), context.cancel);
          return [](Napi::Env env) { return env.Undefined(); };
        });
  });
}

}  // namespace

std::shared_ptr<Forwardable> forwardableOf(const Napi::Value& value, const std::string& what) {
  if (value.IsObject()) {
    for (const EnvData::ForwardableOf of : EnvData::of(value.Env()).forwardables) {
      if (std::shared_ptr<Forwardable> found = of(value.As<Napi::Object>())) return found;
    }
  }
  fail(value.Env(), "ERR_INPUT", what + " must be a Module or a SearchSpace.");
}

void defineEvaluate(Napi::Env env, Napi::Object exports) {
  exports.Set("evaluate", Napi::Function::New<evaluateCall>(env, "evaluate"));
  exports.Set("forwardAll", Napi::Function::New<forwardAllCall>(env, "forwardAll"));
  exports.Set("scoreBatch", Napi::Function::New<scoreBatchCall>(env, "scoreBatch"));
}

}  // namespace torchsearch::binding
