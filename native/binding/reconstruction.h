#pragma once

#include <napi.h>

#include <memory>

#include "core/reconstruction/reconstruction.h"

namespace torchsearch::binding {

// JavaScript's handle of a reconstruction, for SearchSpace.findNarrowedLayers and its siblings.
class ReconstructionWrap : public Napi::ObjectWrap<ReconstructionWrap> {
 public:
  static constexpr const char* kName = "Reconstruction";
  static constexpr napi_type_tag kTag{0x6f1c5f1d3c2b4a17, 0x9d0e7a6b5c4d3e17};
  static void define(Napi::Env env, Napi::Object exports);

  explicit ReconstructionWrap(const Napi::CallbackInfo& info);
  // ERR_INPUT for anything else.
  static std::shared_ptr<Reconstruction> of(const Napi::Value& value);

 private:
  Napi::Value needsTarget(const Napi::CallbackInfo& info);
  Napi::Value layers(const Napi::CallbackInfo& info);
  Napi::Value collect(const Napi::CallbackInfo& info);

  std::shared_ptr<Reconstruction> reconstruction_;
};

}  // namespace torchsearch::binding
