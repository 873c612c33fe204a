#include "core/dist/store.h"

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <cstdlib>
#include <exception>
#include <functional>
#include <mutex>
#include <thread>
#include <utility>

#include "core/base/error.h"
#include "core/dist/sockets.h"

#if __has_include(<torch/csrc/distributed/c10d/TCPStore.hpp>)
#define TORCHSEARCH_HAS_STORE 1
#include <c10/util/Logging.h>

#include <torch/csrc/distributed/c10d/TCPStore.hpp>
#endif

namespace torchsearch {

#ifdef TORCHSEARCH_HAS_STORE
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

// How long a wait pauses before it asks again: a share of what it has waited, so that it ends little later
// than the key comes, and a long wait asks seldom.
constexpr std::chrono::microseconds kFirstPause{100};
constexpr milliseconds kLongestPause{20};
constexpr int kPauseShare = 8;

std::vector<uint8_t> bytesOf(const std::string& text) {
  return {text.begin(), text.end()};
}

std::string textOf(const std::vector<uint8_t>& bytes) {
  return {bytes.begin(), bytes.end()};
}

// Watches that calls end: c10d reads answers without a limit of time, so a call that is overdue is ended by
// ending the process's connections to the store.
class Watch {
 public:
  explicit Watch(milliseconds timeout) : timeout_(timeout), thread_([this] { run(); }) {}
  Watch(const Watch&) = delete;
  Watch& operator=(const Watch&) = delete;
  ~Watch() {
    {
      const std::lock_guard guard(mutex_);
      stop_ = true;
    }
    changed_.notify_all();
    thread_.join();
  }

  void setPort(uint16_t port) noexcept { port_ = port; }

  // Runs a call; true when it ended by itself.
  bool bounded(const std::function<void()>& call) {
    {
      const std::lock_guard guard(mutex_);
      due_ = Clock::now() + timeout_;
      overdue_ = false;
    }
    changed_.notify_all();
    std::exception_ptr failure;
    try {
      call();
    } catch (...) {
      failure = std::current_exception();
    }
    const std::lock_guard guard(mutex_);
    due_.reset();
    return failure == nullptr && !overdue_;
  }

  bool overdue() {
    const std::lock_guard guard(mutex_);
    return overdue_;
  }

  void interrupt() noexcept { interruptConnectionsTo(port_); }

 private:
  void run() {
    std::unique_lock guard(mutex_);
    while (!stop_) {
      if (!due_) {
        changed_.wait(guard);
      } else if (Clock::now() < *due_) {
        changed_.wait_until(guard, *due_);
      } else {
        overdue_ = true;
        guard.unlock();
        interrupt();
        guard.lock();
        // The call may be between two connections.
        changed_.wait_for(guard, milliseconds(50));
      }
    }
  }

  const milliseconds timeout_;
  std::atomic<uint16_t> port_{0};
  std::mutex mutex_;
  std::condition_variable changed_;
  std::optional<Clock::time_point> due_;
  bool overdue_ = false;
  bool stop_ = false;
  std::thread thread_;
};

// Adds 1 to a key of its own client, every so often.
class Heart {
 public:
  Heart(c10::intrusive_ptr<c10d::Store> store, std::string key, milliseconds every)
      : store_(std::move(store)), key_(std::move(key)), every_(every), thread_([this] { run(); }) {}
  Heart(const Heart&) = delete;
  Heart& operator=(const Heart&) = delete;

  void stop() noexcept {
    const std::lock_guard guard(mutex_);
    stop_ = true;
    changed_.notify_all();
  }

  // After `stop`; a beat that gets no answer has to be interrupted meanwhile.
  void join() { thread_.join(); }
  bool ended() const noexcept { return ended_; }

 private:
  void run() {
    std::unique_lock guard(mutex_);
    while (!stop_) {
      guard.unlock();
      try {
        store_->add(key_, 1);
      } catch (const std::exception&) {
        break;  // the caller's own next call says that the store is lost
      }
      guard.lock();
      changed_.wait_for(guard, every_, [this] { return stop_; });
    }
    ended_ = true;
  }

  c10::intrusive_ptr<c10d::Store> store_;
  const std::string key_;
  const milliseconds every_;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool stop_ = false;
  std::atomic<bool> ended_{false};
  std::thread thread_;
};

class TcpGroupStore final : public GroupStore {
 public:
  TcpGroupStore(const StoreOptions& options, const CancelToken& cancel)
      : place_(options.host + ":" + std::to_string(options.port)), watch_(options.timeout) {
    c10d::TCPStoreOptions settings;
    settings.waitWorkers = false;
    settings.timeout = options.timeout;
    settings.isServer = options.serve;
    std::string address;
    OwnedSocket listening;
    if (options.serve) {
      BoundSocket bound = bindTo(options.listenOn.empty() ? options.host : options.listenOn, options.port);
      const bool anywhere = bound.address == "0.0.0.0" || bound.address == "::";
      address = anywhere ? (bound.address == "::" ? "::1" : "127.0.0.1") : bound.address;
      settings.port = bound.port;
      listening = std::move(bound.socket);
      settings.masterListenFd = listening.get();
    } else {
      address = reach(options.host, options.port, Clock::now() + options.timeout, cancel);
      settings.port = options.port;
    }
    place_ = options.host + ":" + std::to_string(settings.port);
    watch_.setPort(settings.port);
    std::string reason = "it did not answer as a store does";
    (void)listening.release();  // the store closes it, however its constructor ends
    const bool joined = watch_.bounded([&] {
      try {
        store_ = c10::make_intrusive<c10d::TCPStore>(address, settings);
        (void)store_->check({"torchsearch"});
      } catch (const c10::Error& error) {
        reason = error.what_without_backtrace();
        throw;
      }
    });
    if (!joined) {
      store_.reset();
      throw Error("ERR_GROUP_CONNECT", "The group's store at " + place_ + " can't be used (" +
                                           reason.substr(0, reason.find('\n')) +
                                           "): does another program listen on that port?");
    }
  }

  ~TcpGroupStore() override {
    if (heart_ == nullptr) return;
    heart_->stop();
    // A beat whose answer doesn't come would be waited for.
    for (int i = 0; !heart_->ended(); ++i) {
      std::this_thread::sleep_for(milliseconds(5));
      if (i >= 40) watch_.interrupt();
    }
    heart_->join();
  }

  uint16_t port() const override { return store_->getPort(); }

  int64_t add(const std::string& key, int64_t delta) override {
    int64_t sum = 0;
    bounded([&] { sum = store_->add(key, delta); });
    return sum;
  }

  void set(const std::string& key, const std::string& value) override {
    // `set` alone returns before the server has it.
    bounded([&] {
      store_->set(key, bytesOf(value));
      (void)store_->check({key});
    });
  }

  std::string compareSet(const std::string& key, const std::string& expected,
                         const std::string& desired) override {
    std::string found;
    bounded([&] { found = textOf(store_->compareSet(key, bytesOf(expected), bytesOf(desired))); });
    return found;
  }

  std::vector<std::optional<std::string>> get(const std::vector<std::string>& keys) override {
    std::vector<std::optional<std::string>> values(keys.size());
    for (size_t i = 0; i < keys.size(); ++i)
      bounded([&] {
        if (store_->check({keys[i]})) values[i] = textOf(store_->get(keys[i]));
      });
    return values;
  }

  void remove(const std::string& key) override {
    bounded([&] { (void)store_->deleteKey(key); });
  }

  // Asks again and again: a wait of c10d's can't be cancelled, and writes a warning whenever its time is
  // over.
  bool wait(const std::vector<std::string>& keys, milliseconds atMost, const CancelToken& cancel) override {
    const Clock::time_point start = Clock::now();
    for (;;) {
      bool found = false;
      bounded([&] { found = store_->check(keys); });
      const Clock::duration waited = Clock::now() - start;
      if (found || cancel.cancelled() || waited >= atMost) return found;
      std::this_thread::sleep_for(
          std::clamp<Clock::duration>(waited / kPauseShare, kFirstPause, kLongestPause));
    }
  }

  void beat(const std::string& key, milliseconds every) override {
    bounded([&] { heart_ = std::make_unique<Heart>(store_->clone(), key, every); });
  }

  void interrupt() noexcept override { watch_.interrupt(); }

 private:
  void bounded(const std::function<void()>& call) {
    if (!lost_ && watch_.bounded(call)) return;
    lost_ = true;
    throw Error("ERR_GROUP_PEER_LOST",
                "The group's store at " + place_ + (watch_.overdue() ? " does not answer" : " is gone") +
                    ", and with it rank 0 or its agent: start all ranks again; a search with a checkpoint "
                    "goes on where it was.");
  }

  std::string place_;
  Watch watch_;
  bool lost_ = false;
  c10::intrusive_ptr<c10d::TCPStore> store_;
  std::unique_ptr<Heart> heart_;
};

}  // namespace

bool GroupStore::available() noexcept {
  return true;
}

std::unique_ptr<GroupStore> GroupStore::join(const StoreOptions& options, const CancelToken& cancel) {
  // c10d writes a page of stack frames to standard error for every connection that ends. Whoever wants to
  // read them sets the variable.
  constexpr int kFatal = 3;
  if (std::getenv("TORCH_CPP_LOG_LEVEL") == nullptr)
    FLAGS_caffe2_log_level = std::max(FLAGS_caffe2_log_level, kFatal);
  return std::make_unique<TcpGroupStore>(options, cancel);
}

#else

bool GroupStore::available() noexcept {
  return false;
}

std::unique_ptr<GroupStore> GroupStore::join(const StoreOptions&, const CancelToken&) {
  throw Error("ERR_GROUP_ENV",
              "This LibTorch was built without its TCPStore, so processes can't share a search: use one of "
              "PyTorch's own wheels.");
}

#endif

}  // namespace torchsearch
