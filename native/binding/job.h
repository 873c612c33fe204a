#pragma once

#include <napi.h>

#include <chrono>
#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>

#include "binding/channel.h"
#include "core/base/cancel.h"
#include "core/base/failure.h"
#include "core/base/progress.h"

namespace torchsearch::binding {

struct JobContext {
  CancelToken cancel;
  ProgressFn progress;  // cheap and non-blocking: only the latest event waits for JavaScript; always callable
};

// Makes the promise's value, on the JavaScript thread.
using Finish = std::function<Napi::Value(Napi::Env)>;

// The end of a job without a result.
inline Finish finishWithNothing() {
  return [](Napi::Env env) { return env.Undefined(); };
}

// Runs on the compute thread, and so may hold and touch no JavaScript value.
using Work = std::function<Finish(const JobContext&)>;

// The last argument of every asynchronous function: { cancel?: CancelToken, onProgress?: function }.
struct CallOptions {
  static CallOptions read(const Napi::Value& value);

  CancelToken cancel;
  Napi::Function onProgress;  // may be empty
};

// Whether a job waits for another one that was given up, instead of being refused with ERR_BUSY.
enum class Patience : uint8_t { kLimited, kForever };

// Queues `work` and gives the promise of its result.
Napi::Promise runJob(Napi::Env env, const CallOptions& options, Work work,
                     Patience patience = Patience::kLimited);

class Job;

// A job's progress on its way to JavaScript.
class ProgressNotice final : public Carried {
 public:
  explicit ProgressNotice(std::shared_ptr<Job> job) : job_(std::move(job)) {}
  void arrive(Napi::Env env) override;

 private:
  std::shared_ptr<Job> job_;
};

// One queued call. Made, settled and destroyed on its environment's JavaScript thread, where it arrives when
// it is done.
class Job final : public Carried, public std::enable_shared_from_this<Job> {
 public:
  Job(Napi::Env env, const CallOptions& options, Work work, Patience patience);

  bool waitsForever() const { return patience_ == Patience::kForever; }
  Napi::Promise promise() const { return deferred_.Promise(); }
  const CancelToken& cancel() const { return cancel_; }
  Channel& channel() const { return *channel_; }

  void compute() noexcept;                                         // compute thread
  void refuse(Failure failure) { failure_ = std::move(failure); }  // instead of `compute`
  void arrive(Napi::Env env) override;                             // settles the promise
  void deliver(Napi::Env env);  // the latest progress, if it is still to be told
  // Hands the job over to its JavaScript thread, to be settled and destroyed there.
  static void finish(std::shared_ptr<Job>&& job) noexcept;

 private:
  void report(const Progress& progress);  // compute thread

  std::shared_ptr<Channel> channel_;
  CancelToken cancel_;
  Work work_;
  Patience patience_;
  Napi::Promise::Deferred deferred_;
  Napi::FunctionReference onProgress_;
  std::optional<Napi::Error> thrown_;  // by onProgress
  Finish finish_;
  std::optional<Failure> failure_;
  bool outOfMemory_ = false;  // so little that not even `failure_` could be made
  std::mutex progressMutex_;
  std::optional<Progress> progress_;                // the latest one not yet delivered
  bool delivering_ = false;                         // it is on its way
  std::chrono::steady_clock::time_point reported_;  // when one last was sent
};

// The process's one compute thread. LibTorch's own threads parallelize inside a job; a single caller keeps
// OpenMP to one team of threads, and libuv's pool stays free.
class ComputeThread {
 public:
  ComputeThread() = default;
  // Never destroyed: a job may outlive the statics of the process.
  static ComputeThread& instance();

  // Whether no job runs or waits.
  bool idle();
  // With ERR_BUSY while a job runs that was given up.
  void submit(std::shared_ptr<Job> job);
  // Settles waiting jobs whose token is set.
  void dropCancelled();
  // Gives the running job up, where it was cancelled: waiting jobs, and all until it ends, are settled with
  // ERR_BUSY.
  void giveUp();
  // An environment goes away: its waiting jobs are forgotten, its running one is cancelled and waited for,
  // but not for long: one that doesn't end is left to itself.
  void drop(const Channel& channel);
  // The process ends: the running job is cancelled and waited for, for a moment. False when it still runs;
  // else the thread has ended.
  bool leave();

  // Threads LibTorch uses inside one operator, from the next job on.
  void setThreads(int count);
  int threads();

 private:
  void run();

  std::mutex mutex_;
  std::condition_variable wake_;
  std::condition_variable idle_;
  std::deque<std::shared_ptr<Job>> queue_;
  bool sleeping_ = false;  // the thread waits for wake_
  const Channel* runningFor_ = nullptr;
  CancelToken runningCancel_;
  bool givenUp_ = false;   // the running job was cancelled and does not end
  bool orphaned_ = false;  // the running job's environment is gone
  CarriedList orphans_;    // kept, since they can't be destroyed without their environment
  int threads_ = 0;        // 0: LibTorch's default
  bool stop_ = false;
  std::thread thread_;  // started with the first job
};

}  // namespace torchsearch::binding
