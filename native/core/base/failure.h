#pragma once

#include <exception>
#include <string>

namespace torchsearch {

// What went wrong, in the form users see it.
struct Failure {
  std::string code;
  std::string message;
};

// Turns any exception into a code and a message. An `Error` keeps both; running out of memory is
// ERR_OUT_OF_MEMORY; everything else gets `fallbackCode` and the useful part of its message: the operator's
// complaint and the innermost line of the model's source, without C++ backtraces.
Failure describeFailure(const std::exception_ptr& exception, const std::string& fallbackCode);

// Runs `work`; whatever it throws leaves as an `Error`, with `fallbackCode` unless it was one already.
template <class Work>
auto withFailureCode(const std::string& fallbackCode, Work&& work) -> decltype(work());

// The useful part of a LibTorch message (see describeFailure).
std::string usefulMessage(const std::string& text);

}  // namespace torchsearch

#include "core/base/error.h"

namespace torchsearch {

template <class Work>
auto withFailureCode(const std::string& fallbackCode, Work&& work) -> decltype(work()) {
  try {
    return work();
  } catch (const Error&) {
    throw;
  } catch (...) {
    const Failure failure = describeFailure(std::current_exception(), fallbackCode);
    throw Error(failure.code, failure.message);
  }
}

}  // namespace torchsearch
