#include "binding/store_thread.h"

#include <exception>
#include <thread>
#include <utility>

#include "binding/env_data.h"
#include "binding/translate.h"
#include "core/base/error.h"

namespace torchsearch::binding {

// A call's way back. It holds nothing of JavaScript but the promise's handle, which needs no environment to
// be destroyed.
class StoreThread::Answer final : public Carried {
 public:
  Answer(Napi::Env env, std::shared_ptr<Channel> channel) : channel_(std::move(channel)), deferred_(env) {}

  Napi::Promise promise() const { return deferred_.Promise(); }
  const std::shared_ptr<Channel>& channel() const { return channel_; }

  void arrive(Napi::Env env) override {
    channel_->release(env);
    try {
      if (failure_) throw makeError(env, *failure_);
      deferred_.Resolve(guarded(env, [&] { return finish_(env); }));
    } catch (const Napi::Error& error) {
      deferred_.Reject(error.Value());
    }
  }

  Finish finish_;
  std::optional<Failure> failure_;

 private:
  std::shared_ptr<Channel> channel_;
  Napi::Promise::Deferred deferred_;
};

struct StoreThread::Call {
  StoreWork work;
  std::shared_ptr<Answer> answer;
  bool last = false;
};

StoreThread::~StoreThread() {
  if (!started_) return;
  const std::lock_guard guard(shared_->mutex);
  shared_->abandoned = true;
  if (shared_->interruptible != nullptr) shared_->interruptible->interrupt();
  shared_->changed.notify_all();
}

Napi::Promise StoreThread::submit(Napi::Env env, StoreWork work) {
  return queue(env, std::move(work), false);
}

Napi::Promise StoreThread::close(Napi::Env env) {
  // The thread gives the store up before it answers.
  const auto end = [](std::unique_ptr<GroupStore>&) -> Finish { return finishWithNothing(); };
  const Napi::Promise promise = queue(env, end, true);
  closed_ = true;
  return promise;
}

Napi::Promise StoreThread::queue(Napi::Env env, StoreWork work, bool last) {
  if (closed_) fail(env, "ERR_CLOSED", "The group was left; join it again.");
  if (!started_) {
    shared_ = std::make_shared<Shared>();
    std::thread([shared = shared_] { run(shared); }).detach();
    started_ = true;
  }
  const auto answer = std::make_shared<Answer>(env, EnvData::of(env).channel);
  answer->channel()->hold(env);
  {
    const std::lock_guard guard(shared_->mutex);
    shared_->calls.push_back({std::move(work), answer, last});
  }
  shared_->changed.notify_all();
  return answer->promise();
}

void StoreThread::run(const std::shared_ptr<Shared>& shared) {
  for (bool last = false; !last;) {
    Call call;
    {
      std::unique_lock guard(shared->mutex);
      shared->changed.wait(guard, [&] { return shared->abandoned || !shared->calls.empty(); });
      if (shared->abandoned) break;
      call = std::move(shared->calls.front());
      shared->calls.pop_front();
    }
    last = call.last;
    try {
      call.answer->finish_ = call.work(shared->store);
      std::unique_ptr<GroupStore> ended;
      const std::lock_guard guard(shared->mutex);
      if (last) shared->store.swap(ended);
      shared->interruptible = shared->store.get();
    } catch (...) {
      call.answer->failure_ = describeFailure(std::current_exception(), "ERR_GROUP_PEER_LOST");
    }
    Channel& channel = *call.answer->channel();
    (void)channel.post(std::move(call.answer));
  }
  {
    const std::lock_guard guard(shared->mutex);
    shared->interruptible = nullptr;
    shared->calls.clear();
  }
  shared->store.reset();
}

}  // namespace torchsearch::binding
