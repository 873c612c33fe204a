#include "core/dist/sockets.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <memory>
#include <system_error>
#include <thread>
#include <utility>

#include "core/base/error.h"

namespace torchsearch {
namespace {

using Clock = std::chrono::steady_clock;

constexpr auto kBetweenAttempts = std::chrono::milliseconds(50);
constexpr auto kOneAttempt = std::chrono::milliseconds(1000);

struct FreeAddresses {
  void operator()(addrinfo* list) const noexcept { ::freeaddrinfo(list); }
};
using Addresses = std::unique_ptr<addrinfo, FreeAddresses>;

struct CloseFolder {
  void operator()(DIR* folder) const noexcept { ::closedir(folder); }
};

std::string place(const std::string& host, uint16_t port) {
  const bool six = host.find(':') != std::string::npos;
  return (six ? "[" + host + "]" : host) + ":" + std::to_string(port);
}

// Null, with the reason, when the name is unknown.
Addresses lookUp(const std::string& host, uint16_t port, std::string& reason) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_NUMERICSERV;
  addrinfo* found = nullptr;
  const int failed = ::getaddrinfo(host.c_str(), std::to_string(port).c_str(), &hints, &found);
  if (failed != 0) reason = "the name is unknown: " + std::string(::gai_strerror(failed));
  return Addresses(failed == 0 ? found : nullptr);
}

std::string numeric(const sockaddr* address, socklen_t length) {
  std::array<char, NI_MAXHOST> host{};
  if (::getnameinfo(address, length, host.data(), host.size(), nullptr, 0, NI_NUMERICHOST) != 0) return "";
  return host.data();
}

std::string describe(int error) {
  return std::generic_category().message(error);
}

// 0, or the error of the attempt.
int connectOnce(const addrinfo& to, Clock::time_point until) {
  const OwnedSocket socket(::socket(to.ai_family, SOCK_STREAM, 0));
  if (socket.get() < 0) return errno;
  ::fcntl(socket.get(), F_SETFD, FD_CLOEXEC);
  ::fcntl(socket.get(), F_SETFL, O_NONBLOCK);
  if (::connect(socket.get(), to.ai_addr, to.ai_addrlen) == 0) return 0;
  if (errno != EINPROGRESS) return errno;
  const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(until - Clock::now());
  pollfd waiting{socket.get(), POLLOUT, 0};
  const int ready = ::poll(&waiting, 1, static_cast<int>(std::max<int64_t>(left.count(), 1)));
  if (ready == 0) return ETIMEDOUT;
  if (ready < 0) return errno;
  int error = 0;
  socklen_t size = sizeof(error);
  return ::getsockopt(socket.get(), SOL_SOCKET, SO_ERROR, &error, &size) == 0 ? error : errno;
}

uint16_t portOf(const sockaddr_storage& address) {
  if (address.ss_family == AF_INET) return ntohs(reinterpret_cast<const sockaddr_in&>(address).sin_port);
  if (address.ss_family == AF_INET6) return ntohs(reinterpret_cast<const sockaddr_in6&>(address).sin6_port);
  return 0;
}

}  // namespace

OwnedSocket& OwnedSocket::operator=(OwnedSocket&& other) noexcept {
  if (this != &other) {
    if (descriptor_ >= 0) ::close(descriptor_);
    descriptor_ = other.release();
  }
  return *this;
}

OwnedSocket::~OwnedSocket() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

int OwnedSocket::release() noexcept {
  const int descriptor = descriptor_;
  descriptor_ = -1;
  return descriptor;
}

BoundSocket bindTo(const std::string& host, uint16_t port) {
  std::string reason;
  const Addresses addresses = lookUp(host, port, reason);
  int error = 0;
  for (const addrinfo* to = addresses.get(); to != nullptr; to = to->ai_next) {
    OwnedSocket socket(::socket(to->ai_family, SOCK_STREAM, 0));
    if (socket.get() < 0) {
      error = errno;
      continue;
    }
    ::fcntl(socket.get(), F_SETFD, FD_CLOEXEC);
    const int on = 1;  // a port that the last run left a moment ago is free
    ::setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    sockaddr_storage bound{};
    socklen_t length = sizeof(bound);
    if (::bind(socket.get(), to->ai_addr, to->ai_addrlen) != 0 || ::listen(socket.get(), SOMAXCONN) != 0 ||
        ::getsockname(socket.get(), reinterpret_cast<sockaddr*>(&bound), &length) != 0) {
      error = errno;
      if (error == EADDRINUSE) break;  // a second address of the name would not be the one that others try
      continue;
    }
    return {std::move(socket), numeric(to->ai_addr, to->ai_addrlen), portOf(bound)};
  }
  std::string remedy = "give the address of this machine that the others reach";
  if (error == EADDRINUSE) {
    reason = "another program has this port";
    remedy = "choose another port (MASTER_PORT), the same on every rank";
  } else if (error == EADDRNOTAVAIL) {
    reason = "it is no address of this machine";
    remedy =
        "rank 0 has to run on the machine that MASTER_ADDR names; behind another address, set `interface`";
  } else if (error == EACCES) {
    reason = "ports below 1024 are reserved";
    remedy = "choose another port (MASTER_PORT), the same on every rank";
  } else if (error != 0) {
    reason = describe(error);
  }
  throw Error("ERR_GROUP_CONNECT",
              "Rank 0 can't listen on " + place(host, port) + ", because " + reason + ": " + remedy + ".");
}

std::string reach(const std::string& host, uint16_t port, Clock::time_point until,
                  const CancelToken& cancel) {
  std::string reason = "there was no time to try";
  for (;;) {
    cancel.throwIfCancelled();
    const Addresses addresses = lookUp(host, port, reason);
    for (const addrinfo* to = addresses.get(); to != nullptr; to = to->ai_next) {
      const int error = connectOnce(*to, std::min(until, Clock::now() + kOneAttempt));
      if (error == 0) return numeric(to->ai_addr, to->ai_addrlen);
      reason = error == ECONNREFUSED ? "nobody listens there" : describe(error);
    }
    if (Clock::now() >= until) break;
    std::this_thread::sleep_for(kBetweenAttempts);
  }
  throw Error("ERR_GROUP_CONNECT",
              "The group's store at " + place(host, port) + " was not reached in time, because " + reason +
                  ": start rank 0, let its firewall pass this port, or give a longer timeout.");
}

void interruptConnectionsTo(uint16_t port) noexcept {
  const std::unique_ptr<DIR, CloseFolder> folder(::opendir("/dev/fd"));
  if (folder == nullptr) return;
  while (const dirent* entry = ::readdir(folder.get())) {
    int descriptor = -1;
    const char* const end = entry->d_name + std::strlen(entry->d_name);
    if (std::from_chars(entry->d_name, end, descriptor).ec != std::errc()) continue;
    sockaddr_storage peer{};
    sockaddr_storage own{};
    socklen_t peerLength = sizeof(peer);
    socklen_t ownLength = sizeof(own);
    if (::getpeername(descriptor, reinterpret_cast<sockaddr*>(&peer), &peerLength) != 0 ||
        ::getsockname(descriptor, reinterpret_cast<sockaddr*>(&own), &ownLength) != 0)
      continue;
    if (portOf(peer) == port && portOf(own) != port) ::shutdown(descriptor, SHUT_RDWR);
  }
}

}  // namespace torchsearch
