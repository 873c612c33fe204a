#pragma once

#include <napi.h>

#include <memory>

namespace torchsearch::binding {

// Keeps the memory of an ArrayBuffer alive, whatever becomes of the buffer: a transfer (structuredClone,
// postMessage, ArrayBuffer.prototype.transfer) hands the memory to another buffer, which may be collected at
// any time, in any thread. Null where the engine offers no such hold: then only a copy is safe. May be
// released on any thread.
std::shared_ptr<void> pinMemory(const Napi::ArrayBuffer& buffer);

}  // namespace torchsearch::binding
