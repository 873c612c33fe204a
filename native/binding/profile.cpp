#include "binding/profile.h"

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "binding/ivalue.h"
#include "binding/job.h"
#include "binding/module.h"
#include "binding/translate.h"
#include "core/profile/profile.h"

namespace torchsearch::binding {
namespace {

int32_t countOr(const Napi::Object& object, const char* name, int32_t fallback) {
  const Napi::Value value = object.Get(name);
  return value.IsNumber() ? value.As<Napi::Number>().Int32Value() : fallback;
}

// { latency?: boolean, warmup?: number, repeats?: number, threads?: number }
ProfileOptions readProfileOptions(const Napi::Value& value) {
  ProfileOptions options;
  if (!value.IsObject()) return options;
  const Napi::Object object = value.As<Napi::Object>();
  if (const Napi::Value latency = object.Get("latency"); latency.IsBoolean()) {
    options.latency = latency.As<Napi::Boolean>();
  }
  options.timing.warmup = countOr(object, "warmup", options.timing.warmup);
  options.timing.repeats = countOr(object, "repeats", options.timing.repeats);
  options.timing.threads = countOr(object, "threads", options.timing.threads);
  return options;
}

Napi::Array shapes(Napi::Env env, const std::vector<std::vector<int64_t>>& all) {
  Napi::Array list = Napi::Array::New(env, all.size());
  for (uint32_t i = 0; i < all.size(); ++i) {
    Napi::Array shape = Napi::Array::New(env, all[i].size());
    for (uint32_t d = 0; d < all[i].size(); ++d) shape.Set(d, static_cast<double>(all[i][d]));
    list.Set(i, shape);
  }
  return list;
}

Napi::Object toJs(Napi::Env env, const OperatorProfile& row) {
  Napi::Object out = Napi::Object::New(env);
  out.Set("name", row.name);
  out.Set("op", row.op);
  out.Set("inputShapes", shapes(env, row.inputShapes));
  out.Set("outputShapes", shapes(env, row.outputShapes));
  out.Set("params", static_cast<double>(row.params));
  out.Set("macs", static_cast<double>(row.macs));
  out.Set("latencyMs", row.latencyMs ? Napi::Value(Napi::Number::New(env, *row.latencyMs)) : env.Null());
  return out;
}

Napi::Object toJs(Napi::Env env, const LatencySummary& latency) {
  Napi::Object out = Napi::Object::New(env);
  out.Set("median", latency.median);
  out.Set("mean", latency.mean);
  out.Set("min", latency.min);
  out.Set("max", latency.max);
  out.Set("p10", latency.p10);
  out.Set("p50", latency.p50);
  out.Set("p90", latency.p90);
  out.Set("p99", latency.p99);
  out.Set("warmup", latency.warmup);
  out.Set("runs", latency.runs);
  out.Set("threads", latency.threads);
  return out;
}

Napi::Object toJs(Napi::Env env, const Profile& profile) {
  Napi::Object out = Napi::Object::New(env);
  out.Set("params", static_cast<double>(profile.params));
  out.Set("macs", static_cast<double>(profile.macs));
  out.Set("size", static_cast<double>(profile.size));
  out.Set("memory", static_cast<double>(profile.memory));
  out.Set("latency", profile.latency ? Napi::Value(toJs(env, *profile.latency)) : env.Null());
  out.Set("device", profile.device);
  Napi::Array operators = Napi::Array::New(env, profile.operators.size());
  for (uint32_t i = 0; i < profile.operators.size(); ++i) operators.Set(i, toJs(env, profile.operators[i]));
  out.Set("operators", operators);
  Napi::Array notes = Napi::Array::New(env, profile.notes.size());
  for (uint32_t i = 0; i < profile.notes.size(); ++i) notes.Set(i, profile.notes[i]);
  out.Set("notes", notes);
  return out;
}

Napi::Value profileCall(const Napi::CallbackInfo& info) {
  return promised(info.Env(), [&] {
    const std::shared_ptr<Module> module = ModuleWrap::of(info[0], "module");
    Inputs inputs = toInputs(module->schema().get(), info[1], info[2]);
    return runJob(info.Env(), CallOptions::read(info[4]),
                  [module, inputs = std::move(inputs),
                   options = readProfileOptions(info[3])](const JobContext& context) -> Finish {
                    auto profile = std::make_shared<const Profile>(
                        profileModule(*module, inputs, options, context.cancel, context.progress));
                    return [profile](Napi::Env env) -> Napi::Value { return toJs(env, *profile); };
                  });
  });
}

}  // namespace

void defineProfile(Napi::Env env, Napi::Object exports) {
  exports.Set("profile", Napi::Function::New<profileCall>(env, "profile"));
}

}  // namespace torchsearch::binding
