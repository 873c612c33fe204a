#include "binding/channel.h"

namespace torchsearch::binding {

using Context = std::shared_ptr<Channel>;

std::shared_ptr<Channel> Channel::open(Napi::Env env) {
  auto channel = std::make_shared<Channel>();
  auto context = std::make_unique<Context>(channel);
  const napi_status status = napi_create_threadsafe_function(
      env, nullptr, nullptr, Napi::String::New(env, "torchsearch"), 0, 1, nullptr,
      [](napi_env, void*, void* data) { std::unique_ptr<Context>{static_cast<Context*>(data)}; },
      context.get(),
      [](napi_env env, napi_value, void* data, void*) {
        if (env != nullptr) (*static_cast<Context*>(data))->drain(Napi::Env(env));
      },
      &channel->function_);
  NAPI_THROW_IF_FAILED(env, status, nullptr);
  (void)context.release();  // owned by the thread-safe function until its finalizer runs
  napi_unref_threadsafe_function(env, channel->function_);
  return channel;
}

bool Channel::post(Task&& task) {
  {
    const std::lock_guard guard(mutex_);
    if (closed_) return false;
    tasks_.push_back(std::move(task));
    if (scheduled_) return true;
    scheduled_ = true;
  }
  // Not under the mutex, which the woken thread takes at once.
  const std::lock_guard calling(calling_);
  if (closed_) return false;
  if (napi_call_threadsafe_function(function_, nullptr, napi_tsfn_nonblocking) != napi_ok) {
    const std::lock_guard guard(mutex_);
    scheduled_ = false;
  }
  return true;
}

void Channel::hold(Napi::Env env) {
  if (holders_++ == 0) napi_ref_threadsafe_function(env, function_);
}

void Channel::release(Napi::Env env) {
  if (--holders_ == 0) napi_unref_threadsafe_function(env, function_);
}

namespace {

// False while the environment is being torn down: then nothing can be called or made in it.
bool canRunJavaScript(Napi::Env env) {
  napi_value global = nullptr;
  napi_value key = nullptr;
  bool has = false;
  return napi_get_global(env, &global) == napi_ok &&
         napi_create_string_utf8(env, "Object", NAPI_AUTO_LENGTH, &key) == napi_ok &&
         napi_has_property(env, global, key, &has) == napi_ok;
}

}  // namespace

void Channel::drain(Napi::Env env) {
  std::vector<Task> tasks;
  {
    const std::lock_guard guard(mutex_);
    tasks.swap(tasks_);
    scheduled_ = false;
  }
  for (Task& task : tasks) {
    const Napi::HandleScope scope(env);
    if (!canRunJavaScript(env)) return;
    try {
      task(env);
    } catch (const Napi::Error&) {
      // Tasks answer through promises. What is thrown all the same says that the environment ended meanwhile
      // (worker.terminate()), and nobody is left to hear of it.
    }
  }
}

void Channel::close() {
  const std::lock_guard calling(calling_);
  std::vector<Task> dropped;
  const std::lock_guard guard(mutex_);
  closed_ = true;
  dropped.swap(tasks_);
}

}  // namespace torchsearch::binding
