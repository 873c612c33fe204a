#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>

#include "core/base/cancel.h"
#include "core/dist/store.h"

namespace torchsearch {

// This process's place among those that compute something together.
struct ExchangePlace {
  int64_t rank = 0;
  int64_t ranks = 1;
  std::string prefix;  // of the keys of what is exchanged
  std::string ended;   // the key that says why the others can't go on
  std::string beats;   // with a rank's number behind it: where that rank counts its signs of life
  std::string left;    // likewise: where it says that it has left
  std::chrono::milliseconds lease{};
};

// Bytes that the ranks of a group hand to each other, over a connection of their own to the group's store. A
// value is cut into pieces, because c10d takes no more than 8 MB at once. Everything goes through the process
// with the store: W ranks that each hand in n bytes and fetch as many cost it 2 n (W - 1) bytes of traffic.
// Calls are for one thread.
//
// All calls throw ERR_GROUP_PEER_LOST when the store is lost.
class Exchange {
 public:
  Exchange(std::unique_ptr<GroupStore> store, ExchangePlace place);

  int64_t rank() const { return place_.rank; }
  int64_t ranks() const { return place_.ranks; }

  // Hands something in under a name that no other rank uses.
  void publish(const std::string& name, const std::string& bytes);
  // Waits for what `rank` publishes, as long as it lives.
  //
  // Throws ERR_GROUP_PEER_LOST when that rank was lost or the group was ended, ERR_GROUP_MISMATCH for what no
  // rank publishes, ERR_ABORTED.
  std::string fetch(int64_t rank, const std::string& name, int64_t bytes, const CancelToken& cancel);
  // Removes what this rank has published, when all have fetched it.
  void forget(const std::string& name, int64_t bytes);

 private:
  std::string key(const std::string& name) const { return place_.prefix + "/" + name; }
  void requireLife(int64_t rank, std::string& beats, std::chrono::steady_clock::time_point& since);

  std::unique_ptr<GroupStore> store_;
  const ExchangePlace place_;
};

}  // namespace torchsearch
