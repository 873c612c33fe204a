#pragma once

#include <ATen/core/Tensor.h>
#include <napi.h>

#include <memory>

#include "binding/dtype.h"
#include "binding/env_data.h"

namespace torchsearch::binding {

// Memory of a JavaScript ArrayBuffer that tensors use. Lives until the last of them is gone, on whatever
// thread that happens; the reference is then given up on the JavaScript thread. The memory itself is pinned:
// it stays when the buffer is transferred away while a call computes with it.
class BorrowedMemory final : public Carried {
 public:
  // Null where the memory can't be pinned: then it has to be copied. The buffer's length must be fixed.
  static std::shared_ptr<BorrowedMemory> take(Napi::Env env, const Napi::ArrayBuffer& buffer, size_t offset);
  ~BorrowedMemory() override;
  void arrive(Napi::Env) override {}  // only to be destroyed

  const void* data() const { return data_; }
  bool detached() const;  // the buffer was transferred away; JavaScript thread only

 private:
  BorrowedMemory(Napi::Env env, const Napi::ArrayBuffer& buffer, size_t offset, std::shared_ptr<void> pin);

  std::shared_ptr<void> pin_;
  std::shared_ptr<Channel> channel_;
  std::shared_ptr<BufferCache> cache_;
  Napi::Reference<Napi::ArrayBuffer> buffer_;
  const void* data_;
  bool abandoned_ = false;  // the environment is gone
};

// A tensor over a typed array's memory, without copying. Holds `borrowed` as long as its storage lives.
at::Tensor tensorOver(const std::shared_ptr<BorrowedMemory>& borrowed, at::IntArrayRef shape,
                      const Dtype& dtype);

// The elements as a typed array: over the tensor's own memory when it is contiguous and on the CPU, else a
// copy.
Napi::Value typedArrayOf(Napi::Env env, const at::Tensor& tensor, const Dtype& dtype);

}  // namespace torchsearch::binding
