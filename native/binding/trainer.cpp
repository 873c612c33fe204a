#include "binding/trainer.h"

#include <algorithm>
#include <utility>

#include "binding/dataset.h"
#include "binding/env_data.h"
#include "binding/evaluate.h"
#include "binding/group_store.h"
#include "binding/ivalue.h"
#include "binding/job.h"
#include "binding/module.h"
#include "binding/output_view.h"
#include "binding/tensor.h"
#include "binding/trainer_options.h"
#include "binding/translate.h"
#include "binding/unwrap.h"
#include "core/train/module_learner.h"
#include "core/train/supernet_learner.h"

namespace torchsearch::binding {

namespace {

Finish finishWithNumber(double value) {
  return [value](Napi::Env env) { return Napi::Number::New(env, value); };
}

at::Tensor optionalTensor(const Napi::Value& value, const char* what) {
  return value.IsNull() || value.IsUndefined() ? at::Tensor() : TensorWrap::of(value, what);
}

Napi::Value namedTensors(Napi::Env env, const std::vector<NamedTensor>& tensors) {
  Napi::Array out = Napi::Array::New(env, tensors.size());
  for (size_t i = 0; i < tensors.size(); ++i) {
    Napi::Object item = Napi::Object::New(env);
    item.Set("name", tensors[i].name);
    item.Set("tensor", TensorWrap::wrap(env, tensors[i].tensor));
    out.Set(static_cast<uint32_t>(i), item);
  }
  return out;
}

}  // namespace

void TrainerWrap::define(Napi::Env env, Napi::Object exports) {
  const Napi::Function constructor = DefineClass(
      env, kName,
      {StaticMethod<&TrainerWrap::create>("create"),
       StaticMethod<&TrainerWrap::createSupernet>("createSupernet"), InstanceMethod<&TrainerWrap::run>("run"),
       InstanceMethod<&TrainerWrap::share>("share"), InstanceMethod<&TrainerWrap::step>("step"),
       InstanceMethod<&TrainerWrap::begin>("begin"), InstanceMethod<&TrainerWrap::finish>("finish"),
       InstanceMethod<&TrainerWrap::abandon>("abandon"), InstanceMethod<&TrainerWrap::status>("status"),
       InstanceMethod<&TrainerWrap::trained>("trained"), InstanceMethod<&TrainerWrap::keep>("keep"),
       InstanceMethod<&TrainerWrap::restoreKept>("restoreKept"), InstanceMethod<&TrainerWrap::state>("state"),
       InstanceMethod<&TrainerWrap::load>("load"), InstanceMethod<&TrainerWrap::recalibrate>("recalibrate"),
       InstanceMethod<&TrainerWrap::recalibrateBatch>("recalibrateBatch"),
       InstanceMethod<&TrainerWrap::readOutputs>("readOutputs"),
       InstanceMethod<&TrainerWrap::close>("close")});
  EnvData::of(env).trainer = Napi::Persistent(constructor);
  exports.Set(kName, constructor);
}

TrainerWrap::TrainerWrap(const Napi::CallbackInfo& info) : ObjectWrap(info) {
  if (!info[0].IsExternal()) fail(info.Env(), "ERR_INPUT", "Make trainers with Trainer.create().");
  const Seed& seed = *info[0].As<Napi::External<Seed>>().Data();
  trainer_ = seed.trainer;
  schema_ = seed.schema;
  tag(info, kTag);
}

const std::shared_ptr<Trainer>& TrainerWrap::open(Napi::Env env) const {
  if (trainer_ == nullptr) fail(env, "ERR_CLOSED", "This trainer is closed; make another one.");
  return trainer_;
}

// (module: Module, options: TrainSettings & Objective & { teacher? }, call)
Napi::Value TrainerWrap::create(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return promised(env, [&] {
    const Napi::Value teacher = info[1].IsObject() ? info[1].As<Napi::Object>().Get("teacher") : info[1];
    return runJob(
        env, CallOptions::read(info[2]),
        [module = ModuleWrap::of(info[0], "module"), settings = readTrainSettings(info[1]),
         objective = readObjective(info[1]),
         teacher = teacher.IsObject() ? forwardableOf(teacher, "teacher")
                                      : std::shared_ptr<Forwardable>()](const JobContext&) -> Finish {
          const auto lock = module->lock();
          auto learner = std::make_shared<ModuleLearner>(module, objective, teacher);
          Seed seed{std::make_shared<Trainer>(std::move(learner), settings), module->schema()};
          return [seed](Napi::Env env) mutable {
            return EnvData::of(env).trainer.New({Napi::External<Seed>::New(env, &seed)});
          };
        });
  });
}

// (space: SearchSpace, options: TrainSettings & Objective & { random, smallest: number[] }, call)
Napi::Value TrainerWrap::createSupernet(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return promised(env, [&] {
    const auto space = std::dynamic_pointer_cast<SearchSpace>(forwardableOf(info[0], "space"));
    if (space == nullptr) fail(env, "ERR_INPUT", "A supernet is a SearchSpace; make one with convert().");
    return runJob(env, CallOptions::read(info[2]),
                  [space, settings = readTrainSettings(info[1]),
                   sandwich = readSandwich(info[1])](const JobContext&) -> Finish {
                    auto learner = std::make_shared<SupernetLearner>(space, sandwich);
                    Seed seed{std::make_shared<Trainer>(std::move(learner), settings), space->schema()};
                    return [seed](Napi::Env env) mutable {
                      return EnvData::of(env).trainer.New({Napi::External<Seed>::New(env, &seed)});
                    };
                  });
  });
}

// (view)
Napi::Value TrainerWrap::readOutputs(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&] {
    open(info.Env())->readOutputs(readOutputView(info[0]));
    return info.Env().Undefined();
  });
}

// (dataset, { inputs, target, epoch?, first, count, seconds? }, call): { losses, samples, seconds }
Napi::Value TrainerWrap::run(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return promised(env, [&] {
    return runJob(
        env, CallOptions::read(info[2]),
        [trainer = open(env), dataset = unwrap<DatasetWrap>(info[0], "dataset").dataset(),
         stretch = readStretch(info[1])](const JobContext& context) -> Finish {
          return [result = trainer->run(*dataset, stretch, context.cancel, context.progress)](Napi::Env env) {
            Napi::Object out = Napi::Object::New(env);
            Napi::Float64Array losses = Napi::Float64Array::New(env, result.losses.size());
            std::copy(result.losses.begin(), result.losses.end(), losses.Data());
            out.Set("losses", losses);
            out.Set("samples", static_cast<double>(result.samples));
            out.Set("seconds", result.seconds);
            return out;
          };
        });
  });
}

// (store, { rank, ranks, prefix, ended, beats, left, lease }, call)
Napi::Value TrainerWrap::share(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return promised(env, [&] {
    return runJob(
        env, CallOptions::read(info[2]),
        [trainer = open(env), options = readStoreOptions(info[0]),
         place = readExchangePlace(info[1])](const JobContext& context) -> Finish {
          trainer->share(std::make_unique<Exchange>(GroupStore::join(options, context.cancel), place));
          return finishWithNothing();
        });
  });
}

// (args: unknown[], kwargs: record, target: Tensor | null, call): number
Napi::Value TrainerWrap::step(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return promised(env, [&] {
    TrainBatch batch{toInputs(schema_.get(), info[0], info[1]), optionalTensor(info[2], "target")};
    return runJob(env, CallOptions::read(info[3]),
                  [trainer = open(env), batch = std::move(batch)](const JobContext& context) -> Finish {
                    return finishWithNumber(trainer->step(batch, context.cancel));
                  });
  });
}

// (args: unknown[], kwargs: record, call): Tensor
Napi::Value TrainerWrap::begin(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return promised(env, [&] {
    TrainBatch batch{toInputs(schema_.get(), info[0], info[1]), at::Tensor()};
    return runJob(env, CallOptions::read(info[2]),
                  [trainer = open(env), batch = std::move(batch)](const JobContext&) -> Finish {
                    return [output = trainer->begin(batch)](Napi::Env env) { return toJs(env, output); };
                  });
  });
}

// (loss: number, gradient: Tensor, call): number
Napi::Value TrainerWrap::finish(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return promised(env, [&] {
    return runJob(
        env, CallOptions::read(info[2]),
        [trainer = open(env), loss = info[0].ToNumber().DoubleValue(),
         gradient = TensorWrap::of(info[1], "The gradient of the loss")](const JobContext&) -> Finish {
          return finishWithNumber(trainer->finish(loss, gradient));
        });
  });
}

// (call)
Napi::Value TrainerWrap::abandon(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return promised(env, [&] {
    return runJob(env, CallOptions::read(info[0]), [trainer = open(env)](const JobContext&) -> Finish {
      trainer->abandon();
      return finishWithNothing();
    });
  });
}

// { steps, loss, learningRate }
Napi::Value TrainerWrap::status(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&] {
    const TrainStatus status = open(info.Env())->status();
    Napi::Object out = Napi::Object::New(info.Env());
    out.Set("steps", static_cast<double>(status.steps));
    out.Set("loss", status.loss);
    out.Set("learningRate", status.learningRate);
    return out;
  });
}

// Names of the parameters that are trained.
Napi::Value TrainerWrap::trained(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&] {
    Napi::Array out = Napi::Array::New(info.Env());
    for (const auto& parameter : open(info.Env())->trained()) out.Set(out.Length(), parameter.name);
    return out;
  });
}

// (call)
Napi::Value TrainerWrap::keep(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return promised(env, [&] {
    return runJob(env, CallOptions::read(info[0]), [trainer = open(env)](const JobContext&) -> Finish {
      trainer->keep();
      return finishWithNothing();
    });
  });
}

// (call): boolean
Napi::Value TrainerWrap::restoreKept(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return promised(env, [&] {
    return runJob(env, CallOptions::read(info[0]), [trainer = open(env)](const JobContext&) -> Finish {
      return [restored = trainer->restoreKept()](Napi::Env env) { return Napi::Boolean::New(env, restored); };
    });
  });
}

// (call): { name, tensor }[]
Napi::Value TrainerWrap::state(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return promised(env, [&] {
    return runJob(env, CallOptions::read(info[0]), [trainer = open(env)](const JobContext&) -> Finish {
      return [state = trainer->state()](Napi::Env env) { return namedTensors(env, state); };
    });
  });
}

// (state: { name, tensor }[], steps: number, call)
Napi::Value TrainerWrap::load(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return promised(env, [&] {
    std::vector<NamedTensor> state;
    const Napi::Array items = info[0].As<Napi::Array>();
    for (uint32_t i = 0; i < items.Length(); ++i) {
      const Napi::Object item = Napi::Value(items.Get(i)).As<Napi::Object>();
      const std::string name = item.Get("name").ToString();
      state.push_back({name, TensorWrap::of(item.Get("tensor"), name)});
    }
    return runJob(env, CallOptions::read(info[2]),
                  [trainer = open(env), state = std::move(state),
                   steps = info[1].ToNumber().Int64Value()](const JobContext&) -> Finish {
                    trainer->load(state, steps);
                    return finishWithNothing();
                  });
  });
}

// (dataset, { inputs, maxBatches? }, call): number
Napi::Value TrainerWrap::recalibrate(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return promised(env, [&] {
    return runJob(env, CallOptions::read(info[2]),
                  [trainer = open(env), dataset = unwrap<DatasetWrap>(info[0], "dataset").dataset(),
                   options = readLoopOptions(info[1])](const JobContext& context) -> Finish {
                    return finishWithNumber(static_cast<double>(trainer->recalibrate(
                        *dataset, options.inputs, options.maxBatches, context.cancel, context.progress)));
                  });
  });
}

// (args: unknown[], kwargs: record, batch: number, call): boolean
Napi::Value TrainerWrap::recalibrateBatch(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return promised(env, [&] {
    Inputs inputs = toInputs(schema_.get(), info[0], info[1]);
    return runJob(env, CallOptions::read(info[3]),
                  [trainer = open(env), inputs = std::move(inputs),
                   batch = info[2].ToNumber().Int64Value()](const JobContext&) -> Finish {
                    return [done = trainer->recalibrateBatch(inputs, batch)](Napi::Env env) {
                      return Napi::Boolean::New(env, done);
                    };
                  });
  });
}

Napi::Value TrainerWrap::close(const Napi::CallbackInfo& info) {
  trainer_.reset();
  return info.Env().Undefined();
}

}  // namespace torchsearch::binding
