#pragma once

#include <chrono>
#include <cstdint>
#include <string>

#include "core/base/cancel.h"

namespace torchsearch {

// A socket's descriptor, closed when nobody took it.
class OwnedSocket {
 public:
  explicit OwnedSocket(int descriptor = -1) noexcept : descriptor_(descriptor) {}
  OwnedSocket(OwnedSocket&& other) noexcept : descriptor_(other.release()) {}
  OwnedSocket& operator=(OwnedSocket&& other) noexcept;
  ~OwnedSocket();

  int get() const noexcept { return descriptor_; }
  int release() noexcept;

 private:
  int descriptor_;
};

// A bound socket, and where it is bound.
struct BoundSocket {
  OwnedSocket socket;
  std::string address;  // numeric
  uint16_t port = 0;
};

// Binds a TCP socket to the first address of `host` that this machine has, and to no other one. Port 0 takes
// a free one. It does not listen yet.
//
// Throws ERR_GROUP_CONNECT: unknown host, another machine's address, taken port.
BoundSocket bindTo(const std::string& host, uint16_t port);

// Tries to connect, again and again, until somebody listens; gives the numeric address that answered. The
// connection is closed at once.
//
// Throws ERR_GROUP_CONNECT with the last reason when the time is over, ERR_ABORTED.
std::string reach(const std::string& host, uint16_t port, std::chrono::steady_clock::time_point until,
                  const CancelToken& cancel);

// Ends every connection of this process to that port of other processes, so that a thread that reads from one
// goes on with an error. Connections that others made to that port here stay.
void interruptConnectionsTo(uint16_t port) noexcept;

}  // namespace torchsearch
