#include "core/base/division_guard.h"

#include <cstdint>
#include <limits>

#include "tests/support/doctest.h"

using namespace torchsearch;

#if defined(__linux__) && defined(__x86_64__)

namespace {

// `volatile`, so that the compiler neither computes them nor leaves them out.
template <class T>
bool survives(T dividend, T divisor) {
  volatile T a = dividend;
  volatile T b = divisor;
  const DivisionGuard guard;
  volatile T quotient = a / b;
  volatile T rest = a % b;
  return guard.divided() && quotient == 0 && rest == 0;
}

}  // namespace

// Undefined behaviour on purpose, of which the sanitizer of undefined behaviour would say so.
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
TEST_CASE("divisions that trap give 0 and are counted") {
  CHECK(survives<int64_t>(7, 0));
  CHECK(survives<int64_t>(std::numeric_limits<int64_t>::min(), -1));
  CHECK(survives<int32_t>(7, 0));
  CHECK(survives<uint64_t>(7, 0));
  CHECK(survives<int16_t>(7, 0));
  CHECK(survives<int8_t>(7, 0));
}
#endif

TEST_CASE("other divisions are not counted") {
  const DivisionGuard guard;
  volatile int64_t a = 7;
  volatile int64_t b = 2;
  CHECK_EQ(a / b, 3);
  CHECK_FALSE(guard.divided());
}

#endif
