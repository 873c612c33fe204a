#include "binding/buffers.h"

#include <ATen/ops/from_blob.h>

#include <cstring>
#include <utility>

#include "binding/memory_pin.h"
#include "binding/translate.h"

namespace torchsearch::binding {
namespace {

// A tensor's memory, which its storage and the ArrayBuffer over it own together: a storage may take other
// memory, where a model resizes it, and would free this one under the array.
using SharedMemory = std::shared_ptr<c10::DataPtr>;

// What keeps the memory for the ArrayBuffer over it.
struct LentMemory {
  SharedMemory memory;
  std::shared_ptr<BufferCache> cache;
};

void deleteShare(void* context) {
  const std::unique_ptr<SharedMemory> owned(static_cast<SharedMemory*>(context));
}

// Makes the storage one of several owners of its memory, and gives another share of it.
SharedMemory shareOf(const c10::Storage& storage) {
  c10::StorageImpl& held = *storage.unsafeGetStorageImpl();
  (void)held.mutable_data();  // memory that is copied on the first write is copied now
  if (held.data_ptr().get_deleter() == &deleteShare)
    return *static_cast<SharedMemory*>(held.data_ptr().get_context());
  // All that can fail comes before the storage is touched.
  auto shared = std::make_shared<c10::DataPtr>();
  auto share = std::make_unique<SharedMemory>(shared);
  void* const data = held.mutable_data();
  c10::DataPtr own(data, share.release(), &deleteShare, held.data_ptr().device());
  *shared = held.set_data_ptr(std::move(own));
  return shared;
}

Napi::ArrayBuffer copied(Napi::Env env, const void* data, size_t size) {
  Napi::ArrayBuffer buffer = Napi::ArrayBuffer::New(env, size);
  if (size > 0) std::memcpy(buffer.Data(), data, size);
  return buffer;
}

struct View {
  Napi::ArrayBuffer buffer;
  size_t offset;  // of the storage's first byte
};

// An ArrayBuffer over the whole storage, or an empty one when that is not possible now.
View viewOf(Napi::Env env, const c10::Storage& storage) {
  BufferCache& cache = *EnvData::of(env).buffers;
  const void* data = storage.data();
  if (const auto found = cache.entries.find(data); found != cache.entries.end()) {
    // Collected, but its finalizer has yet to run: a second buffer over this memory must wait for that.
    return {found->second.buffer.Value(), found->second.offset};
  }
  auto lent = std::make_unique<LentMemory>(LentMemory{shareOf(storage), EnvData::of(env).buffers});
  napi_value value = nullptr;
  const napi_status status = napi_create_external_arraybuffer(
      env, storage.mutable_data(), storage.nbytes(),
      [](napi_env, void* memory, void* hint) {
        const std::unique_ptr<LentMemory> owned(static_cast<LentMemory*>(hint));
        owned->cache->remove(memory);
      },
      lent.get(), &value);
  if (status != napi_ok) return {Napi::ArrayBuffer(), 0};  // some embedders forbid external buffers
  (void)lent.release();                                    // owned by the buffer's finalizer
  const Napi::ArrayBuffer buffer(env, value);
  cache.add(data, buffer, 0);
  return {buffer, 0};
}

}  // namespace

std::shared_ptr<BorrowedMemory> BorrowedMemory::take(Napi::Env env, const Napi::ArrayBuffer& buffer,
                                                     size_t offset) {
  std::shared_ptr<void> pin = pinMemory(buffer);
  if (pin == nullptr) return nullptr;
  const std::shared_ptr<BorrowedMemory> owned(new BorrowedMemory(env, buffer, offset, std::move(pin)));
  // The deleter has a share of its own, so that handing it over needs no memory.
  return {owned.get(), [last = std::shared_ptr<Carried>(owned)](BorrowedMemory* memory) mutable {
            const std::shared_ptr<Channel> channel = memory->channel_;
            // Destroyed where it arrives; or with the deleter, where nobody is left to receive it.
            if (!channel->post(std::move(last))) memory->abandoned_ = true;
          }};
}

BorrowedMemory::BorrowedMemory(Napi::Env env, const Napi::ArrayBuffer& buffer, size_t offset,
                               std::shared_ptr<void> pin)
    : pin_(std::move(pin)),
      channel_(EnvData::of(env).channel),
      cache_(EnvData::of(env).buffers),
      buffer_(Napi::Reference<Napi::ArrayBuffer>::New(buffer, 1)),
      data_(static_cast<const uint8_t*>(Napi::ArrayBuffer(buffer).Data()) + offset) {
  cache_->add(data_, buffer, offset);
}

BorrowedMemory::~BorrowedMemory() {
  if (abandoned_) {
    buffer_
        .SuppressDestruct();  // Node-API is gone for this environment, and has freed the reference's target
  } else {
    cache_->remove(data_);
  }
}

bool BorrowedMemory::detached() const {
  return buffer_.Value().IsDetached();
}

at::Tensor tensorOver(const std::shared_ptr<BorrowedMemory>& borrowed, at::IntArrayRef shape,
                      const Dtype& dtype) {
  // LibTorch has no read-only tensors: const is cast away as `Tensor.from` documents that memory is shared.
  return at::from_blob(
      const_cast<void*>(borrowed->data()), shape, [borrowed](void*) {},
      at::TensorOptions().dtype(dtype.scalar));
}

Napi::Value typedArrayOf(Napi::Env env, const at::Tensor& tensor, const Dtype& dtype) {
  const at::Tensor plain = tensor.detach().resolve_neg().resolve_conj().to(c10::kCPU).contiguous();
  const auto length = static_cast<size_t>(plain.numel());
  const size_t bytes = length * dtype.size;
  Napi::ArrayBuffer buffer;
  size_t offset = 0;
  if (bytes > 0) {
    const View view = viewOf(env, plain.storage());
    buffer = view.buffer;
    offset = view.offset + static_cast<size_t>(plain.storage_offset()) * dtype.size;
  }
  if (buffer.IsEmpty() || offset % dtype.size != 0 || buffer.IsDetached()) {
    buffer = copied(env, bytes > 0 ? plain.const_data_ptr() : nullptr, bytes);
    offset = 0;
  }
  napi_value array = nullptr;
  const napi_status status = napi_create_typedarray(env, dtype.array, length, buffer, offset, &array);
  NAPI_THROW_IF_FAILED(env, status, Napi::Value());
  return Napi::Value(env, array);
}

}  // namespace torchsearch::binding
