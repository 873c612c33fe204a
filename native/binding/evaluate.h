#pragma once

#include <napi.h>

#include <memory>
#include <string>

#include "core/forward/forwardable.h"

namespace torchsearch::binding {

// The Forwardable behind a Module, a SearchSpace or any other class registered in EnvData; ERR_INPUT
// otherwise.
std::shared_ptr<Forwardable> forwardableOf(const Napi::Value& value, const std::string& what);

// evaluate, forwardAll and scoreBatch.
void defineEvaluate(Napi::Env env, Napi::Object exports);

}  // namespace torchsearch::binding
