#include "binding/job.h"

#include <ATen/Parallel.h>

#ifdef __GLIBC__
#include <pthread.h>
#endif

#include <functional>
#include <new>
#include <optional>
#include <system_error>
#include <utility>
#include <vector>

#include "binding/cancel_token.h"
#include "binding/env_data.h"
#include "binding/translate.h"
#include "binding/unwrap.h"
#include "core/base/division_guard.h"
#include "core/base/error.h"
#include "core/device/tensor_memory.h"

namespace torchsearch::binding {
namespace {

// Waking JavaScript costs more than a small batch, and nobody watches more closely than this.
constexpr auto kBetweenReports = std::chrono::milliseconds(4);

// Without a job for so long, memory that is kept for the next one's tensors goes back to the system.
constexpr auto kBeforeTrim = std::chrono::seconds(1);

// How long a process or a worker that ends waits for its running job.
constexpr auto kBeforeLeaving = std::chrono::milliseconds(1500);

const Failure kBusy{
    "ERR_BUSY",
    "A call that was aborted is still running, and others wait for it; try again later, or run models "
    "that may not end in a process of their own."};

// LibTorch's compiler and destructors call themselves, as deeply as a model nests its code and values. What
// isn't used of this costs nothing.
std::thread startDeep(std::function<void()> run) {
#ifdef __GLIBC__
  constexpr size_t kStack = size_t{1} << 30;
  pthread_attr_t usual;
  pthread_attr_t deep;
  if (pthread_getattr_default_np(&usual) == 0 && pthread_getattr_default_np(&deep) == 0) {
    const bool set = pthread_attr_setstacksize(&deep, kStack) == 0 && pthread_setattr_default_np(&deep) == 0;
    std::optional<std::thread> started;
    try {
      if (set) started.emplace(run);
    } catch (const std::system_error&) {
      // No room for such a stack.
    }
    if (set) (void)pthread_setattr_default_np(&usual);
    pthread_attr_destroy(&deep);
    pthread_attr_destroy(&usual);
    if (started) return std::move(*started);
  }
#endif
  return std::thread(run);
}

}  // namespace

CallOptions CallOptions::read(const Napi::Value& value) {
  CallOptions options;
  if (!value.IsObject()) return options;
  const Napi::Object object = value.As<Napi::Object>();
  const Napi::Value cancel = object.Get("cancel");
  if (!cancel.IsUndefined()) options.cancel = unwrap<CancelTokenWrap>(cancel, "cancel").token();
  const Napi::Value onProgress = object.Get("onProgress");
  if (onProgress.IsFunction()) options.onProgress = onProgress.As<Napi::Function>();
  return options;
}

Napi::Promise runJob(Napi::Env env, const CallOptions& options, Work work, Patience patience) {
  auto job = std::make_shared<Job>(env, options, std::move(work), patience);
  const Napi::Promise promise = job->promise();
  job->channel().hold(env);
  if (options.cancel.cancelled()) {
    Job::finish(std::move(job));
  } else {
    ComputeThread::instance().submit(std::move(job));
  }
  return promise;
}

Job::Job(Napi::Env env, const CallOptions& options, Work work, Patience patience)
    : channel_(EnvData::of(env).channel),
      cancel_(options.cancel),
      work_(std::move(work)),
      patience_(patience),
      deferred_(env) {
  if (!options.onProgress.IsEmpty()) onProgress_ = Napi::Persistent(options.onProgress);
}

void Job::compute() noexcept {
  try {
    cancel_.throwIfCancelled();
    const DivisionGuard divisions;
    const bool listening = !onProgress_.IsEmpty();
    finish_ = work_({cancel_, [this, listening](const Progress& progress) {
                       if (listening) report(progress);
                     }});
    if (divisions.divided()) {
      throw Error(
          "ERR_FORWARD",
          "The model divides a whole number by zero, or the smallest one by -1; check the input's sizes.");
    }
  } catch (...) {
    finish_ = nullptr;
    try {
      failure_ = describeFailure(std::current_exception(), "ERR_TORCH");
    } catch (...) {
      outOfMemory_ = true;
    }
  }
  work_ = nullptr;  // what it held is freed before JavaScript gets to run
}

void Job::report(const Progress& progress) {
  {
    const std::lock_guard guard(progressMutex_);
    progress_ = progress;
    if (delivering_) return;
    // What comes sooner goes with the next one, or with the result.
    const auto now = std::chrono::steady_clock::now();
    if (now - reported_ < kBetweenReports) return;
    reported_ = now;
    delivering_ = true;
  }
  channel_->post(std::make_shared<ProgressNotice>(shared_from_this()));
}

void ProgressNotice::arrive(Napi::Env env) {
  job_->deliver(env);
}

void Job::deliver(Napi::Env env) {
  std::optional<Progress> progress;
  {
    const std::lock_guard guard(progressMutex_);
    progress.swap(progress_);
    delivering_ = false;
  }
  if (!progress || thrown_) return;
  try {
    Napi::Object event = Napi::Object::New(env);
    event.Set("done", static_cast<double>(progress->done));
    event.Set("total", static_cast<double>(progress->total));
    event.Set("message", progress->message);
    onProgress_.Call({event});
  } catch (const Napi::Error& error) {
    thrown_ = error;  // a listener that throws ends the job, and its error reaches the caller
    cancel_.cancel();
  }
}

void Job::arrive(Napi::Env env) {
  channel_->release(env);
  deliver(env);
  try {
    if (thrown_) throw *thrown_;
    if (outOfMemory_) failure_ = describeFailure(std::make_exception_ptr(std::bad_alloc()), "");
    if (!failure_ && !finish_)
      failure_ = Failure{"ERR_ABORTED", "The operation was aborted by its AbortSignal."};
    if (failure_) throw makeError(env, *failure_);
    deferred_.Resolve(guarded(env, [&] { return finish_(env); }));
  } catch (const Napi::Error& error) {
    deferred_.Reject(error.Value());
  }
}

void Job::finish(std::shared_ptr<Job>&& job) noexcept {
  Channel& channel = job->channel();
  channel.post(std::move(job));
}

ComputeThread& ComputeThread::instance() {
  static ComputeThread* const thread = std::make_unique<ComputeThread>().release();
  return *thread;
}

void ComputeThread::submit(std::shared_ptr<Job> job) {
  bool wake = false;
  bool refused = false;
  {
    const std::lock_guard guard(mutex_);
    refused = givenUp_ && !job->waitsForever();
    if (!refused) {
      queue_.push_back(std::move(job));
      if (!thread_.joinable()) thread_ = startDeep([this] { run(); });
      wake = sleeping_;
    }
  }
  if (refused) {
    job->refuse(kBusy);
    Job::finish(std::move(job));
  }
  if (wake) wake_.notify_one();
}

bool ComputeThread::idle() {
  const std::lock_guard guard(mutex_);
  return queue_.empty() && runningFor_ == nullptr;
}

void ComputeThread::giveUp() {
  std::deque<std::shared_ptr<Job>> waiting;
  {
    const std::lock_guard guard(mutex_);
    if (runningFor_ == nullptr || !runningCancel_.cancelled()) return;
    givenUp_ = true;
    std::deque<std::shared_ptr<Job>> staying;
    for (auto& job : queue_) (job->waitsForever() ? staying : waiting).push_back(std::move(job));
    queue_.swap(staying);
  }
  for (std::shared_ptr<Job>& job : waiting) {
    job->refuse(kBusy);
    Job::finish(std::move(job));
  }
}

bool ComputeThread::leave() {
  std::unique_lock guard(mutex_);
  if (!thread_.joinable()) return true;
  stop_ = true;
  runningCancel_.cancel();
  if (!idle_.wait_for(guard, kBeforeLeaving, [&] { return runningFor_ == nullptr; })) return false;
  guard.unlock();
  wake_.notify_all();
  thread_.join();
  return true;
}

void ComputeThread::dropCancelled() {
  std::vector<std::shared_ptr<Job>> dropped;
  {
    const std::lock_guard guard(mutex_);
    std::erase_if(queue_, [&](const std::shared_ptr<Job>& job) {
      if (!job->cancel().cancelled()) return false;
      dropped.push_back(job);
      return true;
    });
  }
  for (std::shared_ptr<Job>& job : dropped) Job::finish(std::move(job));
}

void ComputeThread::drop(const Channel& channel) {
  std::unique_lock guard(mutex_);
  std::erase_if(queue_, [&](const std::shared_ptr<Job>& job) { return &job->channel() == &channel; });
  if (runningFor_ != &channel) return;
  runningCancel_.cancel();
  if (!idle_.wait_for(guard, kBeforeLeaving, [&] { return runningFor_ != &channel; })) {
    orphaned_ = true;
    givenUp_ = true;
  }
}

void ComputeThread::setThreads(int count) {
  const std::lock_guard guard(mutex_);
  threads_ = count;
}

int ComputeThread::threads() {
  const std::lock_guard guard(mutex_);
  if (threads_ == 0) threads_ = at::get_num_threads();
  return threads_;
}

void ComputeThread::run() {
  std::unique_lock guard(mutex_);
  for (;;) {
    // No spinning before it sleeps: where the cores are busy, it holds up the JavaScript thread, which would
    // have the next job (measured: 45 instead of 20 microseconds a call).
    sleeping_ = true;
    const auto awaited = [&] { return stop_ || !queue_.empty(); };
    if (!wake_.wait_for(guard, kBeforeTrim, awaited)) {
      guard.unlock();
      TensorMemory::instance().trim();
      guard.lock();
      wake_.wait(guard, awaited);
    }
    sleeping_ = false;
    if (stop_) return;
    std::shared_ptr<Job> job = std::move(queue_.front());
    queue_.pop_front();
    runningFor_ = &job->channel();
    runningCancel_ = job->cancel();
    const int threads = threads_;
    guard.unlock();
    // The number is per calling thread with OpenMP, and a job may have changed it.
    if (threads > 0 && threads != at::get_num_threads()) at::set_num_threads(threads);
    job->compute();
    guard.lock();
    if (orphaned_) {
      orphans_.push(std::move(job));
    } else {
      guard.unlock();
      Job::finish(std::move(job));
      guard.lock();
    }
    orphaned_ = false;
    givenUp_ = false;
    runningFor_ = nullptr;
    idle_.notify_all();
  }
}

}  // namespace torchsearch::binding
