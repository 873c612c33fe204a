#pragma once

#include <napi.h>

#include "core/profile/latency.h"
#include "core/profile/latency_table.h"

namespace torchsearch::binding {

// { key: string, variables: number, points: Float64Array }[], where points holds rows of `variables` sizes
// and their milliseconds.
LatencyTable readLatencyTable(const Napi::Value& value);
Napi::Array toJs(Napi::Env env, const LatencyTable& table);

// { warmup: number, repeats: number, threads: number }
LatencyOptions readLatencyOptions(const Napi::Value& value);

}  // namespace torchsearch::binding
