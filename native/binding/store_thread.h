#pragma once

#include <napi.h>

#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>

#include "binding/channel.h"
#include "binding/job.h"
#include "core/base/failure.h"
#include "core/dist/store.h"

namespace torchsearch::binding {

// What runs on a store's thread; its result is made on the JavaScript thread. It holds no JavaScript value.
using StoreWork = std::function<Finish(std::unique_ptr<GroupStore>& store)>;

// The thread of one group's store. A call may wait for another machine, so the compute thread and libuv's few
// threads are left alone. One call runs at a time, in the order of the calls.
//
// The thread owns what it shares with its handle, so that a handle that is collected, or whose environment
// ends, never waits for it: the call that runs is interrupted, and the thread ends by itself.
class StoreThread {
 public:
  StoreThread() = default;
  StoreThread(const StoreThread&) = delete;
  StoreThread& operator=(const StoreThread&) = delete;
  ~StoreThread();

  // JavaScript thread: queues `work` and gives the promise of its result.
  Napi::Promise submit(Napi::Env env, StoreWork work);
  // JavaScript thread: queues the end of the store, and refuses what comes later with ERR_CLOSED.
  Napi::Promise close(Napi::Env env);

 private:
  struct Call;
  class Answer;
  struct Shared {
    std::mutex mutex;
    std::condition_variable changed;
    std::deque<Call> calls;
    bool abandoned = false;               // nobody waits for answers any more
    std::unique_ptr<GroupStore> store;    // the thread's own
    GroupStore* interruptible = nullptr;  // under the mutex: the same, while it lives
  };

  static void run(const std::shared_ptr<Shared>& shared);
  Napi::Promise queue(Napi::Env env, StoreWork work, bool last);

  std::shared_ptr<Shared> shared_;
  bool started_ = false;
  bool closed_ = false;
};

}  // namespace torchsearch::binding
