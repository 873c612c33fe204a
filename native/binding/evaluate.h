#pragma once

#include <napi.h>

#include <memory>
#include <string>

#include "binding/job.h"
#include "core/call/forwardable.h"
#include "core/evaluation/evaluate.h"

namespace torchsearch::binding {

// The Forwardable behind a Module, a SearchSpace or any other class registered in EnvData; ERR_INPUT
// otherwise.
std::shared_ptr<Forwardable> forwardableOf(const Napi::Value& value, const std::string& what);

// { inputs: number[], target?: number, teacher?, maxBatches?: number, stop? }
LoopOptions readLoopOptions(const Napi::Value& value);

// { value?, bound?, samples, batches, seconds }
Finish loopResult(const LoopResult& result, bool scored);

// evaluate, forwardAll and scoreBatch.
void defineEvaluate(Napi::Env env, Napi::Object exports);

}  // namespace torchsearch::binding
