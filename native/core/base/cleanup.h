#pragma once

namespace torchsearch {

// What a destructor does, step by step. A failure is dropped: an exception that left a destructor would end
// the process, and mostly one is on its way already.
template <typename Work>
void cleanUp(Work&& work) noexcept {
  try {
    work();
  } catch (...) {
  }
}

}  // namespace torchsearch
