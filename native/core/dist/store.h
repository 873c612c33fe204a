#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/base/cancel.h"

namespace torchsearch {

// Where a group's store is, and whether this process has it.
struct StoreOptions {
  std::string host;  // the name or address that ranks connect to
  uint16_t port = 0;
  bool serve = false;                   // whether the store is in this process
  std::string listenOn;                 // the one address that it listens on; empty for `host`
  std::chrono::milliseconds timeout{};  // for joining, and for the answer to every later call
};

// The keys and values that the processes of a group share: a client of c10d's TCPStore, which is in this
// process or in another one. Calls are for one thread. A call that gets no answer within the timeout ends,
// even where the other machine is gone without a word; the group is lost then.
//
// All calls throw ERR_GROUP_PEER_LOST when the store is lost.
class GroupStore {
 public:
  // Whether this LibTorch has a TCPStore.
  static bool available() noexcept;

  // Throws ERR_GROUP_CONNECT, ERR_ABORTED, and ERR_GROUP_ENV where LibTorch has no TCPStore.
  static std::unique_ptr<GroupStore> join(const StoreOptions& options, const CancelToken& cancel);

  virtual ~GroupStore() = default;
  GroupStore(const GroupStore&) = delete;
  GroupStore& operator=(const GroupStore&) = delete;

  virtual uint16_t port() const = 0;

  // Adds to a number, which is 0 at first; gives the sum.
  virtual int64_t add(const std::string& key, int64_t delta) = 0;
  virtual void set(const std::string& key, const std::string& value) = 0;
  // Sets a value that is `expected`, or missing while `expected` is empty. Gives the value that is there
  // afterwards: `desired` where it was set.
  virtual std::string compareSet(const std::string& key, const std::string& expected,
                                 const std::string& desired) = 0;
  // A missing key's value is nothing.
  virtual std::vector<std::optional<std::string>> get(const std::vector<std::string>& keys) = 0;
  // A missing key is none to remove.
  virtual void remove(const std::string& key) = 0;
  // Waits until all keys are there; false when they are not within `atMost`, or the token is set before.
  virtual bool wait(const std::vector<std::string>& keys, std::chrono::milliseconds atMost,
                    const CancelToken& cancel) = 0;

  // From now on adds 1 to a number every so often, on a thread and a connection of their own, whatever the
  // caller's thread does, until this object is destroyed or the store is lost.
  virtual void beat(const std::string& key, std::chrono::milliseconds every) = 0;

  // From any thread: lets the call that runs end with an error now.
  virtual void interrupt() noexcept = 0;

 protected:
  GroupStore() = default;
};

}  // namespace torchsearch
