// Node-API can keep an ArrayBuffer alive, but not its memory. V8 can: v8::ArrayBuffer::GetBackingStore, which
// native addons share memory by. It is looked up when it is first needed, so that the addon needs no more
// than Node-API to be loaded, and each version of Node gets the answer that is safe there.
#include "binding/memory_pin.h"

#include <dlfcn.h>

#include <cstring>
#include <mutex>
#include <new>

namespace torchsearch::binding {
namespace {

using Store = std::shared_ptr<void>;
// std::shared_ptr<v8::BackingStore> v8::ArrayBuffer::GetBackingStore(); a napi_value is the address of V8's
// handle, which is what `this` points at.
using GetStore = Store (*)(napi_value self);
// void* v8::BackingStore::Data() const
using DataOf = void* (*)(const void* self);

GetStore findGetStore() {
  return reinterpret_cast<GetStore>(dlsym(RTLD_DEFAULT, "_ZN2v811ArrayBuffer15GetBackingStoreEv"));
}

DataOf findDataOf() {
  return reinterpret_cast<DataOf>(dlsym(RTLD_DEFAULT, "_ZNK2v812BackingStore4DataEv"));
}

// Whether this engine's stores are what this file takes them for: made by the same C++ library (else the
// counts of owners lie elsewhere), of the buffer's own memory. A store that isn't is never destroyed.
bool isUnderstood(GetStore getStore, DataOf dataOf, const Napi::ArrayBuffer& buffer) {
  alignas(Store) unsigned char place[sizeof(Store)];
  auto* store = new (place) Store(getStore(buffer));
  const bool understood = store->get() != nullptr && store->use_count() == 2 &&
                          dataOf(store->get()) == Napi::ArrayBuffer(buffer).Data();
  if (understood) store->~Store();
  return understood;
}

// Tried once a process, with a buffer that nobody else owns.
GetStore usableGetStore(Napi::Env env) {
  static std::once_flag once;
  static GetStore usable = nullptr;
  std::call_once(once, [&] {
    const GetStore getStore = findGetStore();
    const DataOf dataOf = findDataOf();
    if (getStore == nullptr || dataOf == nullptr) return;
    if (isUnderstood(getStore, dataOf, Napi::ArrayBuffer::New(env, 64))) usable = getStore;
  });
  return usable;
}

}  // namespace

std::shared_ptr<void> pinMemory(const Napi::ArrayBuffer& buffer) {
  const GetStore getStore = usableGetStore(buffer.Env());
  return getStore == nullptr ? nullptr : getStore(buffer);
}

}  // namespace torchsearch::binding
