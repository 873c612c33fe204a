#include "core/dist/exchange.h"

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include "core/base/error.h"

namespace torchsearch {

namespace {

constexpr int64_t kPiece = int64_t{4} << 20;

int64_t piecesOf(int64_t bytes) {
  return std::max<int64_t>(1, (bytes + kPiece - 1) / kPiece);
}

}  // namespace

Exchange::Exchange(std::unique_ptr<GroupStore> store, ExchangePlace place)
    : store_(std::move(store)), place_(std::move(place)) {}

void Exchange::publish(const std::string& name, const std::string& bytes) {
  const auto size = static_cast<int64_t>(bytes.size());
  for (int64_t i = 0; i < piecesOf(size); ++i) {
    const int64_t from = i * kPiece;
    store_->set(key(name) + "/" + std::to_string(i),
                bytes.substr(static_cast<size_t>(from), static_cast<size_t>(std::min(kPiece, size - from))));
  }
  // It comes last: whoever waits for it finds the pieces too.
  store_->set(key(name), std::to_string(size));
}

std::string Exchange::fetch(int64_t rank, const std::string& name, int64_t bytes, const CancelToken& cancel) {
  std::string beats;
  auto since = std::chrono::steady_clock::now();
  const auto pause = std::min(std::chrono::milliseconds(500), place_.lease / 8);
  while (!store_->wait({key(name)}, pause, cancel)) {
    cancel.throwIfCancelled();
    requireLife(rank, beats, since);
  }
  const std::string size = store_->get({key(name)}).front().value_or("");
  std::string whole;
  for (int64_t i = 0; size == std::to_string(bytes) && i < piecesOf(bytes); ++i) {
    const auto piece = store_->get({key(name) + "/" + std::to_string(i)}).front();
    if (piece) whole += *piece;
  }
  if (static_cast<int64_t>(whole.size()) != bytes) {
    throw Error("ERR_GROUP_MISMATCH", "Rank " + std::to_string(rank) + " has not handed in the " +
                                          std::to_string(bytes) +
                                          " bytes that were expected: give all ranks the same model and "
                                          "options, and look for another program "
                                          "that uses the port.");
  }
  return whole;
}

void Exchange::forget(const std::string& name, int64_t bytes) {
  store_->remove(key(name));
  for (int64_t i = 0; i < piecesOf(bytes); ++i) store_->remove(key(name) + "/" + std::to_string(i));
}

void Exchange::requireLife(int64_t rank, std::string& beats, std::chrono::steady_clock::time_point& since) {
  const std::string number = std::to_string(rank);
  const auto found = store_->get({place_.ended, place_.left + number, place_.beats + number});
  const auto now = std::chrono::steady_clock::now();
  const std::string count = found[2].value_or("");
  if (count != beats) {
    beats = count;
    since = now;
  }
  if (!found[0] && !found[1] && now - since <= place_.lease) return;
  throw Error("ERR_GROUP_PEER_LOST",
              (found[0] ? std::string("Another rank has ended the work of all")
                        : "Rank " + number + " has ended, or gave no sign of life for the lease") +
                  ", and this rank can't go on without it: start all ranks again; training with a checkpoint "
                  "goes on where it was. If that machine was only busy, give a longer lease.");
}

}  // namespace torchsearch
