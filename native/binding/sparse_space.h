#pragma once

#include <napi.h>

#include <memory>

#include "binding/space_wrap.h"
#include "core/sparsity/sparse_space.h"

namespace torchsearch::binding {

// JavaScript's handle of a module that is made sparse.
class SparseSpaceWrap : public SpaceWrap<SparseSpaceWrap, SparseSpace> {
 public:
  static constexpr const char* kName = "SparseSpace";
  static constexpr const char* kNoun = "sparse space";
  static constexpr const char* kClosed = "This sparse space is closed; convert a module again.";
  static constexpr auto kConstructor = &EnvData::sparseSpace;
  static constexpr napi_type_tag kTag{0x6f1c5f1d3c2b4a11, 0x9d0e7a6b5c4d3e11};
  static bool isGone(const SparseSpace&) { return false; }
  static void define(Napi::Env env, Napi::Object exports);

  using SpaceWrap::SpaceWrap;

 private:
  static Napi::Value convert(const Napi::CallbackInfo& info);

  Napi::Value layers(const Napi::CallbackInfo& info);
  Napi::Value denseParameters(const Napi::CallbackInfo& info);
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
};

}  // namespace torchsearch::binding
