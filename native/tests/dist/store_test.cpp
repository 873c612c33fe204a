#include "core/dist/store.h"

#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <functional>
#include <optional>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "core/base/error.h"
#include "core/dist/exchange.h"
#include "core/dist/sockets.h"
#include "tests/support/doctest.h"

using namespace torchsearch;
using std::chrono::milliseconds;
using Clock = std::chrono::steady_clock;

namespace {

StoreOptions storeOptions(uint16_t port, bool serve, milliseconds timeout = milliseconds(20000)) {
  StoreOptions options;
  options.host = "127.0.0.1";
  options.port = port;
  options.serve = serve;
  options.timeout = timeout;
  return options;
}

std::string codeOf(const std::function<void()>& call) {
  try {
    call();
  } catch (const Error& error) {
    return error.code();
  }
  return "";
}

// A client that is none of c10d's: connects, writes bytes, and goes.
void writeTo(uint16_t port, const std::string& bytes) {
  const OwnedSocket socket(::socket(AF_INET, SOCK_STREAM, 0));
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(port);
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (::connect(socket.get(), reinterpret_cast<const sockaddr*>(&to), sizeof(to)) != 0) return;
  (void)::send(socket.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
  timeval brief{0, 5000};
  ::setsockopt(socket.get(), SOL_SOCKET, SO_RCVTIMEO, &brief, sizeof(brief));
  std::array<char, 64> answer{};
  (void)::recv(socket.get(), answer.data(), answer.size(), 0);
}

// Listens, and never answers.
struct Silent {
  BoundSocket bound = bindTo("127.0.0.1", 0);
};

ExchangePlace place(int64_t rank, int64_t ranks, milliseconds lease) {
  ExchangePlace own;
  own.rank = rank;
  own.ranks = ranks;
  own.prefix = "sums";
  own.ended = "ended";
  own.beats = "beat/";
  own.left = "left/";
  own.lease = lease;
  return own;
}

}  // namespace

TEST_CASE("a store keeps numbers and values, and the first of two that compare and set wins") {
  const auto server = GroupStore::join(storeOptions(0, true), {});
  const auto client = GroupStore::join(storeOptions(server->port(), false), {});
  CHECK(server->add("n", 2) == 2);
  CHECK(client->add("n", 3) == 5);
  CHECK(client->compareSet("first", "", "client") == "client");
  CHECK(server->compareSet("first", "", "server") == "client");
  CHECK(server->compareSet("first", "client", "server") == "server");
  const std::string bytes("a\0b\xff", 4);
  client->set("bytes", bytes);
  const auto found = server->get({"bytes", "none"});
  CHECK(found[0].value_or("none") == bytes);
  CHECK_FALSE(found[1].has_value());
  server->remove("bytes");
  server->remove("bytes");
  CHECK_FALSE(client->get({"bytes"}).front().has_value());
}

TEST_CASE("a wait ends at its time, when it is cancelled, and when the key comes") {
  const auto server = GroupStore::join(storeOptions(0, true), {});
  CHECK_FALSE(server->wait({"none"}, milliseconds(30), {}));
  const CancelToken cancel;
  std::thread other([&] {
    std::this_thread::sleep_for(milliseconds(50));
    cancel.cancel();
  });
  CHECK_FALSE(server->wait({"none"}, milliseconds(60000), cancel));
  other.join();
  std::thread third(
      [port = server->port()] { GroupStore::join(storeOptions(port, false), {})->set("late", "1"); });
  CHECK(server->wait({"late"}, milliseconds(60000), {}));
  third.join();
}

TEST_CASE("what strangers send neither ends a store nor changes a value") {
  const auto server = GroupStore::join(storeOptions(0, true), {});
  const auto client = GroupStore::join(storeOptions(server->port(), false), {});
  client->set("kept", "value");
  std::mt19937 random(7);  // NOLINT: the same bytes every time
  const std::string magic("\x00\xce\xf7\x85\x3c", 5);
  const std::string client_hello = std::string("\x00", 1) + std::string("\x3c\x85\xf7\xce", 4);
  for (int i = 0; i < 120; ++i) {
    std::string noise;
    for (size_t n = 1 + random() % 200; n > 0; --n) noise += static_cast<char>(random());
    switch (i % 4) {
      case 0:
        writeTo(server->port(), noise);
        break;
      case 1:
        writeTo(server->port(), magic + noise);
        break;
      case 2:
        writeTo(server->port(), client_hello + static_cast<char>(i % 20) + noise);
        break;
      default: {
        // A request whose first length is more than any memory.
        const std::string length(8, i % 8 == 3 ? '\xff' : '\x7f');
        writeTo(server->port(), client_hello + static_cast<char>((i / 4) % 20) + length + noise);
      }
    }
  }
  CHECK(client->get({"kept"}).front().value_or("none") == "value");
  CHECK(server->add("n", 1) == 1);
}

TEST_CASE("a store that nobody has, or that never answers, is an error in time") {
  uint16_t free = 0;
  {
    const Silent silent;
    free = silent.bound.port;
    const auto start = Clock::now();
    CHECK(codeOf([&] { GroupStore::join(storeOptions(free, false, milliseconds(300)), {}); }) ==
          "ERR_GROUP_CONNECT");
    CHECK(codeOf([&] { GroupStore::join(storeOptions(free, true), {}); }) == "ERR_GROUP_CONNECT");
    // No test is about speed; a hang would be longer than this.
    CHECK(Clock::now() - start < std::chrono::seconds(60));
  }
  CHECK(codeOf([&] { GroupStore::join(storeOptions(free, false, milliseconds(100)), {}); }) ==
        "ERR_GROUP_CONNECT");
  const CancelToken cancel;
  cancel.cancel();
  CHECK(codeOf([&] { GroupStore::join(storeOptions(free, false), cancel); }) == "ERR_ABORTED");
}

TEST_CASE("a store that is lost is an error, and stays one") {
  auto server = GroupStore::join(storeOptions(0, true), {});
  const auto client = GroupStore::join(storeOptions(server->port(), false), {});
  client->set("key", "1");
  server.reset();
  CHECK(codeOf([&] { client->get({"key"}); }) == "ERR_GROUP_PEER_LOST");
  CHECK(codeOf([&] { client->set("key", "1"); }) == "ERR_GROUP_PEER_LOST");
}

TEST_CASE("signs of life go on while the caller's thread does something else") {
  const auto server = GroupStore::join(storeOptions(0, true), {});
  {
    const auto client = GroupStore::join(storeOptions(server->port(), false), {});
    client->beat("beat/1", milliseconds(10));
    while (server->add("beat/1", 0) < 3) std::this_thread::sleep_for(milliseconds(5));
  }
  const int64_t last = server->add("beat/1", 0);
  std::this_thread::sleep_for(milliseconds(60));
  CHECK(server->add("beat/1", 0) == last);
}

TEST_CASE("bytes of any length come to another rank as they were") {
  const auto server = GroupStore::join(storeOptions(0, true), {});
  Exchange one(GroupStore::join(storeOptions(server->port(), false), {}), place(1, 2, milliseconds(30000)));
  Exchange zero(GroupStore::join(storeOptions(server->port(), false), {}), place(0, 2, milliseconds(30000)));
  for (const size_t size : {size_t{0}, size_t{1}, size_t{4} << 20, (size_t{9} << 20) + 5}) {
    std::string bytes(size, '\0');
    for (size_t i = 0; i < size; ++i) bytes[i] = static_cast<char>(i * 7);
    const std::string name = std::to_string(size);
    one.publish(name, bytes);
    CHECK(zero.fetch(1, name, static_cast<int64_t>(size), {}) == bytes);
    CHECK(codeOf([&] { zero.fetch(1, name, static_cast<int64_t>(size) + 1, {}); }) == "ERR_GROUP_MISMATCH");
    one.forget(name, static_cast<int64_t>(size));
    CHECK_FALSE(server->get({"sums/" + name + "/0"}).front().has_value());
  }
}

TEST_CASE("a rank that another one waits for is lost when it is silent, has left, or has ended the work") {
  const auto server = GroupStore::join(storeOptions(0, true), {});
  const auto fetch = [&](milliseconds lease, const CancelToken& cancel) {
    Exchange zero(GroupStore::join(storeOptions(server->port(), false), {}), place(0, 2, lease));
    return codeOf([&] { zero.fetch(1, "part", 4, cancel); });
  };
  CHECK(fetch(milliseconds(200), {}) == "ERR_GROUP_PEER_LOST");
  const CancelToken cancel;
  cancel.cancel();
  CHECK(fetch(milliseconds(60000), cancel) == "ERR_ABORTED");
  server->set("left/1", "1");
  CHECK(fetch(milliseconds(60000), {}) == "ERR_GROUP_PEER_LOST");
  server->remove("left/1");
  server->set("ended", "1");
  CHECK(fetch(milliseconds(60000), {}) == "ERR_GROUP_PEER_LOST");
}
