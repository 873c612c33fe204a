#include "core/hash/sha256_blocks.h"

#if defined(__x86_64__) && (defined(__GNUC__) || defined(__clang__))

#include <cpuid.h>
#include <immintrin.h>

namespace torchsearch {
namespace {

// The instructions keep the eight words as two vectors of four, highest lane first: a b e f and c d g h.
__attribute__((target("sha,sse4.1"))) void blocksX86(Sha256State& state, const uint8_t* bytes, size_t count) {
  const __m128i bigEndian = _mm_set_epi64x(0x0c0d0e0f08090a0b, 0x0405060700010203);
  const auto* rounds = reinterpret_cast<const __m128i*>(kSha256Rounds.data());
  const __m128i abcd = _mm_loadu_si128(reinterpret_cast<const __m128i*>(state.data()));
  const __m128i efgh = _mm_loadu_si128(reinterpret_cast<const __m128i*>(state.data() + 4));
  const __m128i badc = _mm_shuffle_epi32(abcd, 0xb1);
  const __m128i hgfe = _mm_shuffle_epi32(efgh, 0x1b);
  __m128i abef = _mm_alignr_epi8(badc, hgfe, 8);
  __m128i cdgh = _mm_blend_epi16(hgfe, badc, 0xf0);
  for (; count > 0; --count, bytes += 64) {
    const __m128i abefBefore = abef;
    const __m128i cdghBefore = cdgh;
    __m128i w[4];  // the last sixteen words of the message schedule
    for (size_t i = 0; i < 4; ++i) {
      const __m128i raw = _mm_loadu_si128(reinterpret_cast<const __m128i*>(bytes + 16 * i));
      w[i] = _mm_shuffle_epi8(raw, bigEndian);
    }
    for (size_t i = 0; i < 16; ++i) {  // four rounds each
      __m128i& oldest = w[i % 4];
      if (i >= 4) {
        const __m128i newest = w[(i + 3) % 4];
        const __m128i sum = _mm_add_epi32(_mm_sha256msg1_epu32(oldest, w[(i + 1) % 4]),
                                          _mm_alignr_epi8(newest, w[(i + 2) % 4], 4));
        oldest = _mm_sha256msg2_epu32(sum, newest);
      }
      const __m128i words = _mm_add_epi32(oldest, _mm_load_si128(rounds + i));
      cdgh = _mm_sha256rnds2_epu32(cdgh, abef, words);
      abef = _mm_sha256rnds2_epu32(abef, cdgh, _mm_shuffle_epi32(words, 0x0e));
    }
    abef = _mm_add_epi32(abef, abefBefore);
    cdgh = _mm_add_epi32(cdgh, cdghBefore);
  }
  const __m128i feba = _mm_shuffle_epi32(abef, 0x1b);
  const __m128i dchg = _mm_shuffle_epi32(cdgh, 0xb1);
  _mm_storeu_si128(reinterpret_cast<__m128i*>(state.data()), _mm_blend_epi16(feba, dchg, 0xf0));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(state.data() + 4), _mm_alignr_epi8(dchg, feba, 8));
}

bool supported() {
  unsigned a = 0, b = 0, c = 0, d = 0;
  constexpr unsigned kSsse3 = 1u << 9, kSse41 = 1u << 19, kSha = 1u << 29;
  if (__get_cpuid(1, &a, &b, &c, &d) == 0 || (c & kSsse3) == 0 || (c & kSse41) == 0) return false;
  return __get_cpuid_count(7, 0, &a, &b, &c, &d) != 0 && (b & kSha) != 0;
}

}  // namespace

Sha256Blocks sha256BlocksHardware() {
  static const bool available = supported();
  return available ? blocksX86 : nullptr;
}

}  // namespace torchsearch

#else

namespace torchsearch {

Sha256Blocks sha256BlocksHardware() {
  return nullptr;
}

}  // namespace torchsearch

#endif
