#include "core/base/failure.h"

#include <c10/util/Exception.h>
#include <torch/script.h>

#include <new>
#include <string>

#include "core/base/error.h"
#include "tests/support/doctest.h"

using namespace torchsearch;

namespace {

template <class Thrower>
Failure failureOf(Thrower thrower) {
  try {
    thrower();
  } catch (...) {
    return describeFailure(std::current_exception(), "ERR_FALLBACK");
  }
  return {};
}

}  // namespace

TEST_CASE("failures keep their code, or get the fallback") {
  CHECK(failureOf([] { throw Error("ERR_CLOSED", "closed"); }).code == "ERR_CLOSED");
  CHECK(failureOf([] { throw std::bad_alloc(); }).code == "ERR_OUT_OF_MEMORY");
  CHECK(failureOf([] { throw 5; }).code == "ERR_FALLBACK");
  const Failure torch = failureOf([] { TORCH_CHECK(false, "sizes differ"); });
  CHECK(torch.code == "ERR_FALLBACK");
  CHECK(torch.message == "sizes differ");
  const Failure memory = failureOf([] { at::empty({int64_t{1} << 50}); });
  CHECK(memory.code == "ERR_OUT_OF_MEMORY");
}

TEST_CASE("a TorchScript traceback shrinks to the complaint and the innermost line") {
  const std::string message = usefulMessage(
      "The following operation failed in the TorchScript interpreter.\n"
      "Traceback of TorchScript (most recent call last):\n"
      "  File \"net.py\", line 3, in forward\n    return self.inner(x)\n           ~~~~ <--- HERE\n"
      "  File \"inner.py\", line 9, in forward\n    return a @ b\n           ~ <--- HERE\n"
      "RuntimeError: sizes differ\n");
  CHECK(message == "sizes differ (File \"inner.py\", line 9, in forward)");
  CHECK(usefulMessage("plain\nException raised from f at f.cpp:1") == "plain");
}
