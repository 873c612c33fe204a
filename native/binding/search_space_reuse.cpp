// The part of the search space's handle that keeps activations.
#include <cmath>
#include <vector>

#include "binding/search_space.h"
#include "binding/translate.h"
#include "binding/widths.h"

namespace torchsearch::binding {

// (bytes: number)
Napi::Value SearchSpaceWrap::reuseActivations(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return guarded(env, [&] {
    const double bytes = info[0].IsNumber() ? info[0].As<Napi::Number>().DoubleValue() : -1;
    if (!(bytes >= 0 && bytes <= 9007199254740991) || bytes != std::floor(bytes)) {
      fail(env, "ERR_CONFIG_VALUE", "The bytes of kept activations must be a whole number of at least 0.");
    }
    open(env)->reuseActivations(static_cast<int64_t>(bytes));
    reportMemory(env);
    return env.Undefined();
  });
}

// (candidates: widths[])
Napi::Value SearchSpaceWrap::expect(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return guarded(env, [&] {
    if (!info[0].IsArray()) fail(env, "ERR_CHOICE", "expect needs an array of widths.");
    std::vector<std::vector<int64_t>> candidates;
    const Napi::Array list = info[0].As<Napi::Array>();
    candidates.reserve(list.Length());
    for (uint32_t i = 0; i < list.Length(); ++i) candidates.push_back(readWidths(list.Get(i)));
    open(env)->expect(candidates);
    return env.Undefined();
  });
}

// { budget, bytes, … }
Napi::Value SearchSpaceWrap::reuse(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return guarded(env, [&]() -> Napi::Value {
    const ReuseCounters counters = open(env)->reuse();
    Napi::Object out = Napi::Object::New(env);
    const auto set = [&](const char* name, int64_t value) { out.Set(name, static_cast<double>(value)); };
    set("budget", counters.budget);
    set("bytes", counters.bytes);
    set("peak", counters.peak);
    set("entries", counters.entries);
    set("forwards", counters.forwards);
    set("hits", counters.hits);
    set("instructionsRun", counters.instructionsRun);
    set("instructionsSkipped", counters.instructionsSkipped);
    out.Set("macsRun", counters.multiplyAddsRun);
    out.Set("macsSkipped", counters.multiplyAddsSkipped);
    return out;
  });
}

void SearchSpaceWrap::reportMemory(Napi::Env env) {
  const int64_t bytes = held() == nullptr ? 0 : held()->reuse().bytes;
  if (bytes != reported_) Napi::MemoryManagement::AdjustExternalMemory(env, bytes - reported_);
  reported_ = bytes;
}

void SearchSpaceWrap::Finalize(Napi::Env env) {
  release();
  reportMemory(env);
}

}  // namespace torchsearch::binding
