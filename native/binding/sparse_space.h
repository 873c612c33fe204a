#pragma once

#include <napi.h>

#include <memory>

#include "core/sparsity/sparse_space.h"

namespace torchsearch::binding {

// JavaScript's handle of a module that is made sparse.
class SparseSpaceWrap : public Napi::ObjectWrap<SparseSpaceWrap> {
 public:
  static constexpr const char* kName = "SparseSpace";
  static constexpr napi_type_tag kTag{0x6f1c5f1d3c2b4a11, 0x9d0e7a6b5c4d3e11};
  static void define(Napi::Env env, Napi::Object exports);

  explicit SparseSpaceWrap(const Napi::CallbackInfo& info);

 private:
  static Napi::Value convert(const Napi::CallbackInfo& info);

  Napi::Value layers(const Napi::CallbackInfo& info);
  Napi::Value denseParameters(const Napi::CallbackInfo& info);
  Napi::Value forward(const Napi::CallbackInfo& info);
  Napi::Value collect(const Napi::CallbackInfo& info);
  Napi::Value stopCollecting(const Napi::CallbackInfo& info);
  Napi::Value globalCounts(const Napi::CallbackInfo& info);
  Napi::Value magnitude(const Napi::CallbackInfo& info);
  Napi::Value sparseGpt(const Napi::CallbackInfo& info);
  Napi::Value makeDense(const Napi::CallbackInfo& info);
  Napi::Value reset(const Napi::CallbackInfo& info);
  Napi::Value layerTensors(const Napi::CallbackInfo& info);
  Napi::Value restore(const Napi::CallbackInfo& info);
  Napi::Value exportModule(const Napi::CallbackInfo& info);
  Napi::Value device(const Napi::CallbackInfo& info);
  Napi::Value closed(const Napi::CallbackInfo& info);
  Napi::Value close(const Napi::CallbackInfo& info);

  // The space, to be called; ERR_CLOSED.
  const std::shared_ptr<SparseSpace>& open(Napi::Env env) const;

  std::shared_ptr<SparseSpace> space_;  // null once closed
};

}  // namespace torchsearch::binding
