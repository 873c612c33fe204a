#pragma once

#include <napi.h>

#include <memory>

#include "core/evaluation/early_stopping.h"
#include "core/evaluation/score.h"

namespace torchsearch::binding {

// { threshold: number, errorProbability?: number }
StopRule readStopRule(const Napi::Value& value);

class ScoreWrap : public Napi::ObjectWrap<ScoreWrap> {
 public:
  static constexpr const char* kName = "Score";
  static constexpr napi_type_tag kTag{0x6f1c5f1d3c2b4a05, 0x9d0e7a6b5c4d3e05};
  static void define(Napi::Env env, Napi::Object exports);

  explicit ScoreWrap(const Napi::CallbackInfo& info);
  const std::shared_ptr<Score>& score() const { return score_; }

 private:
  Napi::Value reset(const Napi::CallbackInfo& info);
  Napi::Value value(const Napi::CallbackInfo& info);
  Napi::Value count(const Napi::CallbackInfo& info);
  Napi::Value tally(const Napi::CallbackInfo& info);

  std::shared_ptr<Score> score_;
};

}  // namespace torchsearch::binding
