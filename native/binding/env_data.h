#pragma once

#include <c10/core/Storage.h>
#include <napi.h>

#include <memory>
#include <unordered_map>
#include <vector>

#include "binding/channel.h"
#include "core/call/forwardable.h"

namespace torchsearch::binding {

// ArrayBuffers over the memory of tensors, one per storage: V8 must not see the same memory through two of
// them.
struct BufferCache {
  struct Entry {
    Napi::Reference<Napi::ArrayBuffer> buffer;  // weak
    size_t offset = 0;                          // of the storage's first byte in the buffer
    int owners = 0;
  };
  std::unordered_map<const void*, Entry> entries;  // by the storage's first byte

  void add(const void* data, const Napi::ArrayBuffer& buffer, size_t offset);
  void remove(const void* data);
};

// What belongs to one JavaScript environment: the main thread or one worker.
struct EnvData {
  static EnvData& of(Napi::Env env);
  // Makes the data and registers the clean-up that ends this environment's jobs.
  static EnvData& create(Napi::Env env);

  std::shared_ptr<Channel> channel;
  std::shared_ptr<BufferCache> buffers = std::make_shared<BufferCache>();
  Napi::FunctionReference torchSearchError;  // handed over with `init`
  Napi::FunctionReference tensor;
  Napi::FunctionReference module;
  Napi::FunctionReference searchSpace;
  Napi::FunctionReference quantizationSpace;
  Napi::FunctionReference sparseSpace;
  Napi::FunctionReference trainer;

  // One per class that wraps a Forwardable: the wrapped object, or null when the value is of another class.
  using ForwardableOf = std::shared_ptr<Forwardable> (*)(const Napi::Object& value);
  std::vector<ForwardableOf> forwardables;
};

}  // namespace torchsearch::binding
