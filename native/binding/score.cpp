#include "binding/score.h"

#include "binding/names.h"
#include "binding/output_view.h"
#include "binding/translate.h"
#include "binding/unwrap.h"

namespace torchsearch::binding {

// new Score(kind: string, { k?, teacher? })
void ScoreWrap::define(Napi::Env env, Napi::Object exports) {
  exports.Set(
      kName,
      DefineClass(env, kName,
                  {InstanceMethod<&ScoreWrap::reset>("reset"), InstanceMethod<&ScoreWrap::value>("value"),
                   InstanceMethod<&ScoreWrap::count>("count"), InstanceMethod<&ScoreWrap::tally>("tally")}));
}

ScoreWrap::ScoreWrap(const Napi::CallbackInfo& info) : ObjectWrap(info) {
  guarded(info.Env(), [&] {
    ScoreOptions options;
    if (info[1].IsObject()) {
      const Napi::Value k = info[1].As<Napi::Object>().Get("k");
      options.teacher = readTeacherView(info[1].As<Napi::Object>().Get("teacher"));
      if (k.IsNumber()) options.k = k.As<Napi::Number>().Int64Value();
    }
    score_ = Score::make(readName(kScores, info[0]), options);
  });
  tag(info, kTag);
}

Napi::Value ScoreWrap::reset(const Napi::CallbackInfo& info) {
  score_->reset();
  return info.Env().Undefined();
}

Napi::Value ScoreWrap::value(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&] { return Napi::Number::New(info.Env(), score_->value()); });
}

Napi::Value ScoreWrap::count(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), static_cast<double>(score_->count()));
}

// { sum, count }
Napi::Value ScoreWrap::tally(const Napi::CallbackInfo& info) {
  const Score::Tally tally = score_->tally();
  Napi::Object out = Napi::Object::New(info.Env());
  out.Set("sum", tally.sum);
  out.Set("count", static_cast<double>(tally.count));
  return out;
}

StopRule readStopRule(const Napi::Value& value) {
  const Napi::Object object = value.ToObject();
  StopRule rule{.threshold = object.Get("threshold").ToNumber().DoubleValue()};
  if (const Napi::Value p = object.Get("errorProbability"); p.IsNumber())
    rule.errorProbability = p.As<Napi::Number>().DoubleValue();
  return rule;
}

}  // namespace torchsearch::binding
