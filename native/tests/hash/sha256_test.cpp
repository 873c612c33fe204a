#include "core/hash/sha256.h"

#include <string>
#include <vector>

#include "tests/support/doctest.h"

using torchsearch::Sha256;

namespace {

std::string digest(const std::string& text, size_t piece, torchsearch::Sha256Blocks blocks) {
  Sha256 hash(blocks);
  for (size_t at = 0; at < text.size(); at += piece) hash.update(text.substr(at, piece));
  return hash.hex();
}

}  // namespace

// Expected values: FIPS 180-4's examples, and sha256sum.
TEST_CASE(
    "sha256 gives the standard's digests, however the input is cut, with and without the processor's "
    "instructions") {
  std::vector<torchsearch::Sha256Blocks> kinds{torchsearch::sha256BlocksPortable};
  if (const auto hardware = torchsearch::sha256BlocksHardware()) kinds.push_back(hardware);
  for (const auto kind : kinds) {
    for (const size_t piece : {1, 7, 55, 63, 64, 65, 1000}) {
      const auto of = [&](const std::string& text) { return digest(text, piece, kind); };
      CHECK(of("") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
      CHECK(of("abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
      CHECK(of("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq") ==
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
      CHECK(of(std::string(1000000, 'a')) ==
            "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
    }
  }
}
